"""`reproduce`: a study, begun or gone on with: rows, a picture, and a verdict with intervals."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from catzoo.hparams import VALUE_LOSSES, RecipeError, build, parse_override
from catzoo.hparams.json_text import to_json
from catzoo.hparams.schema import check_name
from catzoo.zoo.launch.backends import opened
from catzoo.zoo.studies.results_folder import ResultsFolder, last_stage, published_rows, save_rows
from catzoo.zoo.studies.study import Row, Study, Verdict, find_study
from catzoo.zoo.studies.task_runner import GOES_ON, TaskJob, run_tasks, unfinished
from catzoo.zoo.system.atomic_files import write_atomically
from catzoo.zoo.system.console import say, waiting
from catzoo.zoo.system.disk_space import no_room_told
from catzoo.zoo.system.provenance import cpu_model, versions

BUDGETS = ("tiny", "small", "full")


def reproduce(
    study: str,
    *,
    budget: str = "small",
    seeds: int | None = None,
    overrides: Sequence[str] = (),
    workers: int | None = None,
    cluster: str | None = None,
    bring_back: bool = False,
    out: str | os.PathLike[str] | None = None,
    go_on_from: str | os.PathLike[str] | None = None,
    progress: Callable[[str], None] | None = say,
) -> dict[str, Any]:
    """Puts a claim of the paper to the test, or goes on with that; what is done is not done again.

    Args:
        study: one of `catzoo.zoo.studies.claim_names.STUDIES`.
        budget: `tiny` (shows that it runs), `small` (minutes) or `full` (hours; decides).
        seeds: how many; the budget's own by default.
        overrides: `key=value` for other settings than the budget's, such as `env=MinAtar/Asterix`.
        workers: tasks at a time, each in a process of its own; 1, the default: all in this process. On a
            cluster as many as it has room for.
        cluster, bring_back: a Ray cluster that does the tasks, see `train_many`.
        out: the folder; `reproduced/STUDY-BUDGET` by default.
        go_on_from: a verdict whose rows are taken, such as a published one, see `published_rows`.
        progress: prints a line; None: nothing is shown.

    Returns:
        The content of verdict.json: `study`, `claim`, `outcome`, `fewer` (see there), `findings`, `settings`,
        `failed`, `made`: when, on what and with which versions.

    Raises:
        RecipeError: anything wrong with what was asked for, before any task begins; NoRoomError: the disk is
            full, and the same call goes on when there is room.
        KeyboardInterrupt: after the processes have ended.
    """
    made = make_study(study, budget, seeds, overrides)
    folder = ResultsFolder(out if out is not None else Path("reproduced") / f"{study}-{budget}")
    folder.check(made)
    tell = progress or (lambda line: None)
    given = published_rows(made, go_on_from) if go_on_from is not None else []
    todo = unfinished(made, folder, given)
    if todo and cluster is None:  # its nodes may have other extras than this machine
        with waiting("checking what can be trained", shown=progress is not None):
            made.check_here(todo)
    jobs = [TaskJob(made, task, folder) for task in todo]
    with opened(workers, cluster, jobs, bring_back=bring_back, tell=progress) as backend:
        folder.make(made)
        tell(f"{folder.path}: {len(made.tasks())} tasks, {made.settings.seeds} seeds: {made.claim}")
        here = cluster is None and (workers or 1) == 1
        with folder.held(), no_room_told(GOES_ON):
            if given:
                tell(f"{folder.adopt(made, given)} tasks have their rows from {go_on_from}")
            failures = run_tasks(made, folder, None if here else backend, progress)
            with waiting("concluding", shown=progress is not None):
                said = publish(made, folder, failures)
    for line in words_of(said):
        tell(line)
    if budget == "tiny":
        tell("  a tiny budget shows that the study runs; its verdict is no evidence")
    tell(f"{folder.path}: rows.csv, picture.png, verdict.json")
    return said


def make_study(name: str, budget: str, seeds: int | None = None, overrides: Sequence[str] = ()) -> Study:
    """A study with a budget's settings, or with others in some of their places.

    Raises:
        RecipeError: no such study, budget or setting, or a value that is none for it.
    """
    kind = find_study(name)
    check_name("budget", budget, BUDGETS)
    values = dataclasses.asdict(kind.budgets[budget])
    for override in overrides:
        values |= parse_override(override, type(kind.budgets[budget]))
    if seeds is not None:
        values["seeds"] = seeds
    settings = build(type(kind.budgets[budget]), values, where="command line")
    study = kind(settings)
    if settings != kind.budgets[budget]:
        _check(study)
        study.check()
    return study


ENVIRONMENTS = ("env", "envs", "small", "large")
"""Settings that name some."""


def _check(study: Study) -> None:
    """Refuses settings that every task would fail with."""
    from catzoo.zoo.catalogue.recipe_files import know_losses
    from catzoo.zoo.environments.names import canonical
    from catzoo.zoo.environments.selection import expand

    for key, value in dataclasses.asdict(study.settings).items():
        if isinstance(value, int) and value < 1:
            raise RecipeError(f"{key}={value}: must be at least 1")
        if value == () and key not in study.optional:
            raise RecipeError(f"{key}=[]: at least one is needed")
        if key in ENVIRONMENTS and value:
            expand(value)
        if key in ENVIRONMENTS and isinstance(value, tuple) and len(set(map(canonical, value))) < len(value):
            raise RecipeError(f"{key}={list(value)}: an environment twice")
        for number in value if isinstance(value, tuple) else ():
            if isinstance(number, float) and float(f"{number:.6g}") != number:
                raise RecipeError(f"{key}: {number!r} has more than six digits, which tables do not keep")
        if key in ("losses", "sarsa"):
            know_losses(value)
            for loss in value:
                check_name("loss", loss, VALUE_LOSSES)
    for name, times in Counter(task.name for task in study.tasks()).most_common(1):
        if times > 1:
            raise RecipeError(f"{name} would be done twice: name each seed, loss, environment and arm once")


def publish(study: Study, folder: ResultsFolder, failures: dict[str, str]) -> dict[str, Any]:
    """Writes the rows of the tasks that are done, what they say, and their picture."""
    tasks = study.tasks()
    rows = folder.rows(tasks)
    save_rows(folder.table, rows)
    missing = sum(not folder.rows_file(task).exists() for task in tasks)
    said = conclude(study, rows, missing, failures)
    said["made"] = {"date": date.today().isoformat(), "cpu": cpu_model(), "versions": versions()}
    write_atomically(folder.verdict, to_json(said))
    if any(folder.rows_file(task).exists() for task in last_stage(tasks)):  # no picture is of data
        draw(study, rows, folder.picture)
    return said


def conclude(study: Study, rows: Sequence[Row], missing: int, failures: dict[str, str]) -> dict[str, Any]:
    """What the rows say, as plain data."""
    verdict = Verdict(study.findings(rows) if rows else (), missing)
    return {
        "study": study.name,
        "version": study.version,
        "claim": study.claim,
        "source": study.source,
        "protocol": study.protocol,
        "settings": json.loads(json.dumps(dataclasses.asdict(study.settings))),
        "outcome": verdict.outcome,
        "fewer": fewer(study),
        "missing": missing,
        "findings": [finding.to_dict() for finding in verdict.findings],
        "failed": failures,
    }


def fewer(study: Study) -> list[str]:
    """Lists of the settings that lack some of the full budget's: statements about those are not tested."""
    full, now = (dataclasses.asdict(settings) for settings in (study.budgets["full"], study.settings))
    return [
        key for key, value in full.items() if isinstance(value, tuple) and not set(value) <= set(now[key])
    ]


def words_of(said: dict[str, Any]) -> list[str]:
    """A verdict in lines."""
    of_what = f", with fewer {' and '.join(said['fewer'])} than in full" if said["fewer"] else ""
    lines = [f"{said['study']}: {said['outcome']}{of_what}: {said['claim']}"]
    lines += [f"  {finding['words']}" for finding in said["findings"]]
    if said["missing"]:
        lines.append(f"  {said['missing']} tasks have no result: the same command tries again")
    return lines + [f"  failed: {name}: {problem}" for name, problem in said["failed"].items()]


def draw(study: Study, rows: Sequence[Row], out: Path) -> None:
    """Draws a study's picture."""
    from catzoo.zoo.pictures import style

    with style.styled():
        style.publish(study.draw(rows), out)
