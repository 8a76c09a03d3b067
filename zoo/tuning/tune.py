"""`tune`: a study, begun or gone on with, and what comes out of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from catzoo.hparams import NoRoomError, RecipeError
from catzoo.hparams.paths import Typed, path_of
from catzoo.zoo.environments.names import in_file_names
from catzoo.zoo.folders.run_recipe import flat
from catzoo.zoo.folders.study_folder import StudyFolder, differing
from catzoo.zoo.launch.backends import Backend, opened
from catzoo.zoo.launch.train_many import check_jobs
from catzoo.zoo.system.console import pasteable, say, waiting
from catzoo.zoo.system.disk_space import check_writable
from catzoo.zoo.system.file_locks import held_path
from catzoo.zoo.training.train import too_short
from catzoo.zoo.tuning.confirmation import confirm_best, standing_verdict
from catzoo.zoo.tuning.outcome import found_by, print_trials, write_best, write_trials
from catzoo.zoo.tuning.study_plan import Plan, make_plan
from catzoo.zoo.tuning.tuning_pictures import draw_study


def tune(
    agent: str,
    env: str,
    *,
    loss: str | None = None,
    preset: str | None = None,
    steps: int | None = None,
    trials: int = 20,
    seeds: int = 3,
    seed: int = 0,
    workers: int | None = None,
    cluster: str | None = None,
    bring_back: bool = False,
    space: Typed | Mapping[str, Any] | None = None,
    sampler: str = "tpe",
    pruner: str = "wilcoxon",
    objective: str = "final",
    aggregate: str = "mean",
    confirm: int = 5,
    storage: Typed | None = None,
    study_dir: Typed | None = None,
    out: Typed | None = None,
    overrides: Iterable[str | Mapping[str, Any]] = (),
    progress: Callable[[str], None] | None = say,
) -> dict[str, Any]:
    """Tunes an agent's recipe, or goes on with the study of the same settings.

    A trial is `seeds` runs on each environment with the same values; trial 0 is the recipe as it is. After
    the last trial the best one and trial 0 are trained again on seeds that the study has not seen.

    Args:
        agent: name in the zoo.
        env: an id, a comma-separated list, a set such as `minatar-5`, or a pattern.
        loss: value loss; the recipe's own by default.
        preset: one of the recipe's presets.
        steps: agent steps of each run; the recipe's own by default.
        trials: how many there shall be in the end, with those of earlier commands.
        seeds: runs of a trial on each environment.
        seed: the first of them, which also seeds the study.
        workers: trials at a time; 1 by default, on a cluster as many as it has room for.
        cluster, bring_back: a Ray cluster that makes the runs, see `train_many`. This process alone speaks to
            the storage.
        space: name of one of the zoo's search spaces, a YAML file, or a mapping; see `hparams.tuning.space`.
        sampler: `tpe`, `random`, `grid` or `cmaes`.
        pruner: `wilcoxon` (ends a trial whose seeds lose to the best one's), `median` or `hyperband` (end it
            in mid-run), or `none`.
        objective: `final`, `best` or `auc`, see `catzoo.zoo.tuning.objective`.
        aggregate: `mean` or `iqm`, over a trial's runs; normalised if there are several environments.
        confirm: fresh seeds for the best trial and trial 0; 0: not trained again.
        storage: a journal file or any Optuna storage's URL, which several machines may share; a journal in
            the study's folder by default.
        study_dir: the study's folder; `studies/AGENT-ENV-LOSS` by default. Its name is the study's.
        out: where to write best.yaml as well.
        overrides: `key=value` strings or nested mappings over the recipe, for every trial.
        progress: prints a line; None: nothing is shown.

    Returns:
        `study_dir`, `trials` (how many), `best` and `default` (number, value, scores, params), and
        `verdict`, what the fresh seeds said (None without).

    Raises:
        RecipeError: anything wrong with what was asked for, in one line, before any trial begins; or no trial
            has a value in the end.
        KeyboardInterrupt: after the runs have been saved.
    """
    for name, count, least in (
        ("trials", trials, 1),
        ("seeds", seeds, 1),
        ("workers", workers, 1),
        ("confirm", confirm, 0),
    ):
        if count is not None and count < least:
            raise RecipeError(f"{name}={count}: must be at least {least}")
    plan = make_plan(
        agent,
        env,
        loss=loss,
        preset=preset,
        steps=steps,
        seeds=seeds,
        seed=seed,
        space=space,
        sampler=sampler,
        pruner=pruner,
        objective=objective,
        aggregate=aggregate,
        overrides=overrides,
    )
    folder = StudyFolder(study_dir if study_dir is not None else default_folder(plan))
    folder.check(plan.settings())
    if bring_back and plan.prunes_within:
        raise RecipeError(
            f"--pruner {pruner} looks at runs while they train, and with --bring-back they are elsewhere: "
            "take --pruner wilcoxon, or a folder that all nodes share"
        )
    out = None if out is None else path_of(out)
    if out is not None:
        check_writable(out)
    first = plan.jobs(folder.trial(0), 0, {})
    with opened(workers, cluster, first, bring_back=bring_back, tell=progress) as backend:
        check_jobs(first, backend, progress)
        return _tune(plan, folder, storage, backend, trials, confirm, out, progress)


def _tune(
    plan: Plan,
    folder: StudyFolder,
    storage: Typed | None,
    backend: Backend,
    trials: int,
    confirm: int,
    out: Path | None,
    progress: Callable[[str], None] | None,
) -> dict[str, Any]:
    """The trials, what they found, and whether it holds."""
    where = _where(folder.journal if storage is None else storage)
    from catzoo.hparams.tuning.optuna_study import quiet

    with folder.held(plan.settings()), _alone(where), _going_on(where, folder), quiet():
        study = _open(plan, folder, where)
        folder.save(plan.settings())
        tell = progress or (lambda line: None)
        tell(_opening(plan, folder, len(study.finished()), study.at_most(trials)))
        if warning := next(filter(None, map(too_short, plan.recipes.values())), None):
            tell(warning)
        varied = flat(plan.overrides).keys() & {parameter.key for parameter in plan.space.parameters}
        if varied:
            tell(f"{', '.join(sorted(varied))}: as said in trial 0 alone, as the space varies it")
        _work(plan, study, folder, trials, backend, progress)
        trials_made = study.all()
        write_trials(plan, trials_made, folder)
        found = found_by(plan, trials_made, folder)
        found["verdict"] = standing_verdict(folder, found["best"]["number"])
        write_best(plan, found, folder, out)
        with waiting("drawing pictures", shown=progress is not None):
            draw_study(plan, study, folder)
        if progress is not None:
            print_trials(plan, trials_made)
        if confirm:
            found["verdict"] = confirm_best(plan, found, folder, confirm, backend, progress)
            write_best(plan, found, folder, out)
        tell(_closing(plan, folder, study, out, where))
    return found


def _where(storage: Typed) -> str:
    """A database's URL, or the path of a journal."""
    text = os.fspath(storage)
    return text if "://" in text else str(path_of(text))


def default_folder(plan: Plan) -> Path:
    """`studies/dqn-CartPole-v1-hl_gauss`, with the preset after the environment if there is one."""
    envs = "+".join(map(in_file_names, plan.recipes))
    name = envs if len(envs) <= 80 or len(plan.recipes) == 1 else f"{len(plan.recipes)}-environments"
    preset = f"-{plan.preset}" if plan.preset else ""
    return Path("studies") / f"{plan.agent}-{name}{preset}-{plan.loss}"


def _open(plan: Plan, folder: StudyFolder, where: str) -> Any:
    """The study in its storage; refuses one of the same name and other settings."""
    from catzoo.hparams.tuning.optuna_study import Trials
    from catzoo.hparams.tuning.samplers import SeededSampler, make_pruner
    from catzoo.hparams.tuning.storage import open_storage, reachable

    sampler = SeededSampler(plan.sampler, plan.space, plan.defaults(), plan.seed)
    pruner = make_pruner(plan.pruner, plan.instances, plan.instances * plan.steps)
    name = folder.path.resolve().name
    with reachable(where):
        study = Trials(name, open_storage(where), sampler, pruner, folder.place())
        there = study.settings(plan.settings())
    differing(there, plan.settings(), f"the study {name} in {study.where(where)}")
    # Its trials would begin at 0 again, and find runs of others in their folders.
    if not study.study.get_trials(deepcopy=False) and any(folder.trials.glob("[0-9]*/*/recipe.yaml")):
        problem = f"its runs are of a study that is not in {study.where(where)}"
        raise RecipeError(f"{folder.path}: {problem}: name the --storage of that, or another --study-dir")
    return study


@contextmanager
def _alone(where: str) -> Iterator[None]:
    """Holds a journal, as processes that write to one do not hear of each other."""
    if "://" in where:
        yield
        return
    from catzoo.hparams.tuning.storage import reachable

    with reachable(where), Path(where).open("ab"):
        pass  # it is there from now on
    with held_path(Path(where), "tuning with this journal"):
        yield


@contextmanager
def _going_on(where: str, folder: StudyFolder) -> Iterator[None]:
    """Says in one line what kept the study from going on: its storage or the disk.

    Raises:
        RecipeError: either of them.
    """
    from catzoo.hparams.tuning.storage import first_line, shown_url, storage_faults

    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        name = error.filename or folder.path
        raise NoRoomError(
            f"{name}: cannot be written: {error.strerror or error}; the same command goes on with the study"
        ) from None
    except storage_faults() as error:
        problem = f"{shown_url(where)}: answers no more: {first_line(error)}"
        raise RecipeError(f"{problem}; the same command goes on with the study") from None


def _opening(plan: Plan, folder: StudyFolder, done: int, wanted: int) -> str:
    varied = ", ".join(parameter.key for parameter in plan.space.parameters)
    trials = f"{wanted} trial{'s' if wanted > 1 else ''}"
    runs = f"{trials} of {plan.instances} run{'s' if plan.instances > 1 else ''}, {plan.steps:,} steps each"
    before = f"; {done} done before" if done else ""
    return f"{folder.path}: {runs}{before}; varies {varied}; objective: {plan.aggregate} of {plan.objective}"


def _closing(plan: Plan, folder: StudyFolder, study: Any, out: Path | None, where: str) -> str:
    best = folder.best if out is None else out
    verdict = ", verdict.json" if folder.verdict.exists() else ""
    storage = study.where(where) if "://" in where else Path(where)
    trial = Path(f"{folder.path}:0")
    # What a file would import has to be named.
    own = ["--env", ",".join(plan.recipes)] if any(":" in env for env in plan.recipes) else []
    own += ["--seeds", "1"] if len(plan.recipes) > 1 else []
    commands = {
        pasteable("catzoo", "train", "--from", best, *own): "the best recipe; --seed for another seed",
        pasteable("catzoo", "train", "--from", trial, *own): "any trial",
        pasteable("catzoo", "board", storage): "all trials in optuna-dashboard",
    }
    widest = max(map(len, commands))
    lines = [f"  {command:<{widest}}   {what}" for command, what in commands.items()]
    return "\n".join([f"{folder.path}: best.yaml, trials.csv{verdict}, pictures/", *lines])


def _work(
    plan: Plan,
    study: Any,
    folder: StudyFolder,
    wanted: int,
    backend: Backend,
    progress: Callable[[str], None] | None,
) -> None:
    from catzoo.zoo.tuning.trial_scheduler import Scheduler

    wanted = study.at_most(wanted)
    if len(study.finished()) < wanted or study.interrupted():
        Scheduler(plan, study, folder, wanted, backend, progress).run()
