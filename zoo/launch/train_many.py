"""`train_many`: a list of games, losses and seeds, each run in a worker process and a folder of its own, here
or on a cluster.

Nothing is kept about the whole: what is done is what the run folders say, so the same command goes on after
any interruption. Seeds are outermost, so that an interrupted benchmark has whole first seeds.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from catzoo.hparams import RecipeError, loss_name, plain_overrides
from catzoo.hparams.paths import Typed, path_of
from catzoo.zoo.catalogue.recipe_files import find_recipe, know_losses, recipe_source
from catzoo.zoo.environments.names import listed
from catzoo.zoo.environments.selection import expand
from catzoo.zoo.folders.recipe_sources import Source, Sourced, recipes_from
from catzoo.zoo.folders.run_folder import Run, default_folder, finished_result
from catzoo.zoo.launch.backends import Backend, opened
from catzoo.zoo.launch.board_rows import DONE, FAILED, WAITS, Row
from catzoo.zoo.launch.job_loop import run_jobs
from catzoo.zoo.launch.jobs import Ending, Job, Needs
from catzoo.zoo.launch.progress_board import Board
from catzoo.zoo.reporting.scores import print_scores
from catzoo.zoo.system.console import say, waiting
from catzoo.zoo.system.digits import with_interval
from catzoo.zoo.system.signals import stops_raise
from catzoo.zoo.training.loop import check_wandb
from catzoo.zoo.training.train import said_of, too_short, wants_another_evaluation

Overrides = Iterable[str | Mapping[str, Any]]


def train_many(
    agent: str | None = None,
    envs: str | Sequence[str] | None = None,
    *,
    source: Source | None = None,
    losses: str | Sequence[str] | None = None,
    preset: str | None = None,
    steps: int | None = None,
    seeds: int = 1,
    seed: int | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    bring_back: bool = False,
    run_dir: Typed | None = None,
    overrides: Overrides = (),
    wandb: str | None = None,
    progress: Callable[[str], None] | None = say,
) -> list[dict[str, Any]]:
    """Trains an agent on every environment with every loss and seed, several runs at a time.

    Finished runs are skipped, interrupted ones go on, and one that fails does not stop the others; one whose
    process crashes or hangs is started again twice, from its last checkpoint. What a
    process prints is in `PARENT/logs/RUN.log`; losses and environments that exist only in the caller's
    process are unknown there, `my_package:MyEnv-v0` is not.

    Args:
        agent: name in the zoo.
        envs: a comma-separated list of ids, sets and patterns, or several; see `environments.names`.
        source: instead of these, recipes from a file, see `train`; `envs` then picks among them.
        losses: value losses, several or comma-separated; the recipe's own by default.
        preset: one of the recipe's presets, such as `atari-100k`.
        steps: agent steps of each run; the recipe's own by default.
        seeds: how many.
        seed: the first of them; 0 by default.
        workers: runs at a time; the processor's cores are shared out among them. 1 by default, on a cluster
            as many as it has room for.
        cluster: a Ray cluster that runs them, `10.0.0.1:6379` or `ray://host:10001`; `auto`: the one that
            runs here, or else one that is started here for this call. See docs/scale.md.
        bring_back: runs on the cluster work in folders of their nodes, and are brought back when they end;
            without it `run_dir` is to be on a file system that all nodes share.
        run_dir: the folder that the run folders are in; `runs` by default.
        overrides: `key=value` strings or nested mappings over the recipes.
        wandb: a Weights & Biases project to log to as well.
        progress: prints a line; None: nothing is shown.

    Returns:
        One mapping per run, in order: the content of `result.json`, or, for a run that failed, what it was
        (`agent`, `env`, `loss`, `seed`, `steps`, `run_dir`), with `error` and `log`.

    Raises:
        RecipeError: anything wrong with what was asked for, in one line, before any run begins.
        KeyboardInterrupt: after the workers have ended.
    """
    for name, count in (("seeds", seeds), ("workers", workers)):
        if count is not None and count < 1:
            raise RecipeError(f"{name}={count}: must be at least 1")
    check_wandb(wandb)
    overrides = plain_overrides(overrides)
    if source is not None:
        recipes = _from_source(source, agent, envs, losses, preset, seeds, said_of(overrides, steps, seed))
    elif agent is None or envs is None:
        raise RecipeError("name an agent and environments, or recipes with --from")
    else:
        recipes = _recipes(agent, envs, losses, preset, steps, seeds, seed, overrides)
    parent = path_of("runs" if run_dir is None else run_dir)
    said = {"overrides": overrides, "wandb": wandb, "source": None if source is None else os.fspath(source)}
    jobs = [_job(one, parent, said) for one in recipes]
    todo = _unfinished(jobs, parent)
    keep = [job for job in jobs if job not in todo and wants_another_evaluation(job.run, job.recipe)]
    if keep and progress is not None:
        progress(f"finished runs keep their evaluation: catzoo eval {keep[0].run.path} makes another")
    with opened(workers, cluster, todo, bring_back=bring_back, tell=progress) as backend:
        check_jobs(todo, backend, progress)
        _make_logs(parent, todo)
        for warning in dict.fromkeys(too_short(job.recipe) for job in todo):
            if warning and progress:
                progress(warning)
        failures = train_jobs(jobs, todo, backend, progress)
    if progress is not None:
        _report(jobs, failures, progress)
    return [_outcome(job, failures.get(job.run.path)) for job in jobs]


def _recipes(
    agent: str,
    envs: str | Sequence[str],
    losses: str | Sequence[str] | None,
    preset: str | None,
    steps: int | None,
    seeds: int,
    seed: int | None,
    overrides: Sequence[str | Mapping[str, Any]],
) -> list[Sourced]:
    """Every run's recipe, checked: seeds outermost, then environments, then losses."""
    recipe_source(agent)  # an unknown agent is named before anything else
    said = said_of(overrides, steps, seed)
    names = expand(envs)
    asked = _losses(losses)
    first = [find_recipe(agent, env, loss, said, preset) for env in names for loss in asked]
    later = [
        find_recipe(agent, recipe.env, recipe.value_loss.name, [*said, {"seed": recipe.seed + index}], preset)
        for index in range(seeds)
        for recipe in first
    ]
    return [Sourced(recipe, "") for recipe in later]


def _from_source(
    source: Source,
    agent: str | None,
    envs: str | Sequence[str] | None,
    losses: str | Sequence[str] | None,
    preset: str | None,
    seeds: int,
    said: Sequence[Mapping[str, Any]],
) -> list[Sourced]:
    """Every run's recipe from a file: seeds outermost, then environments."""
    env = None if envs is None else listed(envs)
    loss = losses if losses is None or isinstance(losses, str) else ",".join(losses)
    first = recipes_from(source, agent=agent, env=env, loss=loss, preset=preset, said=said)
    return [
        dataclasses.replace(one, recipe=dataclasses.replace(one.recipe, seed=one.recipe.seed + index))
        for index in range(seeds)
        for one in first
    ]


def _losses(losses: str | Sequence[str] | None) -> list[str | None]:
    if losses is None:
        return [None]
    words = [word.strip() for word in losses.split(",")] if isinstance(losses, str) else list(losses)
    know_losses(words)
    return list(dict.fromkeys(loss_name(word) for word in words))


def _job(one: Sourced, parent: Path, said: Mapping[str, Any]) -> Job:
    recipe = one.recipe
    run = Run(parent / default_folder(recipe, one.suffix).name)
    arguments = {
        "agent": recipe.agent,
        "env": recipe.env,
        "loss": recipe.value_loss.name,
        "preset": recipe.preset,
        "steps": recipe.steps,
        "seed": recipe.seed,
        "run_dir": str(run.path),
        **said,
    }
    return Job(recipe, run, parent / "logs" / f"{run.path.name}.log", arguments)


def _unfinished(jobs: Sequence[Job], parent: Path) -> list[Job]:
    """The jobs that are left to do; refuses folders that are somebody else's, or are two jobs' at once."""
    try:
        is_run = (parent / "recipe.yaml").exists()
    except OSError as error:  # no leave to look, or too many names in it
        raise RecipeError(f"{parent}: cannot be used: {error.strerror or error}") from None
    if is_run:
        raise RecipeError(
            f"{parent} is a run folder: --run-dir of several runs is the folder that holds them"
        )
    owners: dict[Path, Job] = {}
    for job in jobs:
        other = owners.setdefault(job.run.path, job)
        if other is not job:
            raise RecipeError(
                f"{other.recipe.env} and {job.recipe.env} would share the folder {job.run.path}: train them "
                "one by one, each with its own --run-dir"
            )
    return [job for job in jobs if finished_result(job.run, job.recipe) is None]


def check_jobs(jobs: Sequence[Job], backend: Backend, tell: Callable[[str], None] | None) -> None:
    """Builds the first run of each family where it would be trained: what cannot work is refused, and once.

    Games of one family take the same options and have the same kinds of spaces. A bar is shown if `tell` is.
    """
    from catzoo.zoo.environments.protocols import protocol_of

    first: dict[tuple[str, str, Needs], Job] = {}
    for job in jobs:
        env, protocol = job.recipe.env, protocol_of(job.recipe.env, job.recipe.env_options).name
        family = protocol if protocol.startswith(("atari", "minatar")) else env
        first.setdefault((family, job.recipe.value_loss.name, job.needs), job)
    if not first:
        return
    words: dict[Needs, list[dict[str, Any]]] = {}
    for (_, _, needs), job in first.items():
        words.setdefault(needs, []).append({**job.arguments, "wandb": None})
    backend = backend.limited(len(jobs))
    with stops_raise(), waiting("checking what can be trained", shown=tell is not None):
        for needs, some in words.items():
            if problem := backend.check(some, needs):
                raise RecipeError(problem)


def _make_logs(parent: Path, todo: Sequence[Job]) -> None:
    if todo:
        try:
            (parent / "logs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecipeError(f"{parent}: cannot be written: {error.strerror or error}") from None


def train_jobs(
    jobs: Sequence[Job], todo: Sequence[Job], backend: Backend, tell: Callable[[str], None] | None
) -> dict[Path, str]:
    """Trains what is to do; returns why the runs that failed did, by folder."""
    done = len(jobs) - len(todo)
    if done and tell is not None:
        tell(f"{done} of {len(jobs)} runs {'is' if done == 1 else 'are'} finished already")
    if not todo:
        return {}
    failures: dict[Path, str] = {}
    left = {job.run.path for job in todo}
    rows = {job.run.path: _row(job, waits=job.run.path in left) for job in jobs}
    with Board("run", len(jobs), sum(job.recipe.steps for job in jobs), tell, rows.values()) as board:

        def begin(job: Job, again: bool) -> None:
            nonlocal done
            done += not again
            board.begin(rows[job.run.path], job.run, job.recipe.steps)
            if tell is not None and not board.live:
                tell(f"{done}/{len(jobs)} begins{' again' if again else ''}: {job.run.path.name}")

        def end(job: Job, ending: Ending, again: bool) -> None:
            if ending.problem is not None and not again:
                failures[job.run.path] = ending.problem
            _over(board, rows[job.run.path], job, ending, again)
            if tell is not None and (ending.problem is not None or not board.shows_all):
                tell(_line(job, ending.problem))

        def refused(job: Job, error: OSError) -> None:  # this run's trouble, not the others'
            end(job, Ending(f"cannot be started: {error}"), False)

        def look(job: Job) -> None:
            board.look(rows[job.run.path])

        some = backend.limited(len(todo))
        run_jobs(iter(todo), some, begin=begin, look=look, end=end, refused=refused)
    return failures


def _row(job: Job, *, waits: bool) -> Row:
    """What the board shows of a run at first."""
    name, steps = job.run.path.name, job.recipe.steps
    if waits:
        return Row(name, steps)
    return Row(name, steps, DONE, before=steps, greedy=(job.run.result() or {}).get("mean_return", math.nan))


def _over(board: Board, row: Row, job: Job, ending: Ending, again: bool) -> None:
    """Has the board show how a run ended."""
    if ending.problem is None:
        board.run_ended(row, row.steps)
        row.greedy = (job.run.result() or {}).get("mean_return", math.nan)
        board.end(row, DONE)
    elif again:
        row.state = WAITS
    else:
        board.end(row, FAILED)


def _line(job: Job, problem: str | None) -> str:
    """How a run went."""
    name = job.run.path.name
    if problem is not None:
        return f"{name}: failed: {problem}"
    result = job.run.result() or {}
    return f"{name}: greedy return {' '.join(with_interval(result['mean_return'], *result['interval_95']))}"


def _report(jobs: Sequence[Job], failures: Mapping[Path, str], tell: Callable[[str], None]) -> None:
    """The table, and a line for each run that failed."""
    there = [job.run.path for job in jobs if job.run.recipe_file.exists()]
    if there:
        print_scores(there)
    for job in jobs:
        if job.run.path in failures:
            tell(f"failed: {job.run.path.name}: {failures[job.run.path]}; see {job.log}")


def _outcome(job: Job, problem: str | None) -> dict[str, Any]:
    result = job.run.result() if problem is None else None
    if result is not None:
        return {**result, "run_dir": str(job.run.path)}
    keys = ("agent", "env", "loss", "seed", "steps", "run_dir")
    return {**{key: job.arguments[key] for key in keys}, "error": problem, "log": str(job.log)}
