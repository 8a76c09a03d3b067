"""Optuna studies over a search space: storage, samplers, pruners, and which trial comes next.

Trial 0 is always the recipe as it is. Every other trial's values are a function of the study's seed, its
number and the trials before it, so that a study which one process makes is the same each time, interrupted
or not: samplers are made anew for each trial, from a seed of its own.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from catzoo.hparams.schema import RecipeError, brief, nearest
from catzoo.hparams.space import Parameter, Space

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.study import Study
    from optuna.trial import Trial

SAMPLERS = ("tpe", "random", "grid", "cmaes")
PRUNERS = ("wilcoxon", "median", "hyperband", "none")
HEARTBEAT = 15
"""Seconds between a running trial's signs of life, in storages that machines share."""
GRACE = 90
"""Seconds without one, after which a trial is given to another worker."""
RETRIES = 3
"""Times that a trial of a machine that died is given to another."""
STARTUP = 8
"""Trials at random before TPE models anything."""


def open_storage(where: str | os.PathLike[str]) -> BaseStorage:
    """An Optuna storage.

    Args:
        where: a file, for a journal that the processes of one machine share and that this process alone
            writes; `grpc://host:port`, for Optuna's gRPC proxy; or any database URL that SQLAlchemy knows.

    Raises:
        RecipeError: it cannot be reached or written.
    """
    text = os.fspath(where)
    with reachable(text):
        if "://" not in text:
            return _journal(Path(text))
        if text.startswith("grpc://"):
            return _proxy(text.removeprefix("grpc://"))
        return optuna.storages.RDBStorage(
            text,
            heartbeat_interval=HEARTBEAT,
            grace_period=GRACE,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(RETRIES),
        )


@contextlib.contextmanager
def reachable(text: str) -> Iterator[None]:
    """Says in one line, as a RecipeError, what is wrong with the storage that is used inside."""
    try:
        yield
    except RecipeError:
        raise
    except ImportError as error:
        raise RecipeError(f"{shown_url(text)}: its driver is missing: {_first_line(error)}") from None
    except Exception as error:  # every database has errors of its own
        raise RecipeError(f"{shown_url(text)}: cannot be used: {_first_line(error)}") from None


def shown_url(url: str) -> str:
    """A storage's URL without the password."""
    scheme, separator, rest = url.partition("://")
    login, at, host = rest.rpartition("@")
    user = login.partition(":")[0]
    return brief(f"{scheme}{separator}{user}{at}{host}" if separator else url, 200)


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error.__cause__ or error
    lines = [line for line in str(cause).splitlines() if line.strip()]
    return brief(lines[0] if lines else type(cause).__name__, 200)


def _journal(path: Path) -> BaseStorage:
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    # A process that was killed may have left its lock, and half of a line.
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    with path.open("ab+") as file:
        file.seek(0)
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
    return optuna.storages.JournalStorage(
        JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
    )


def _proxy(address: str) -> BaseStorage:
    host, _, port = address.rstrip("/").partition(":")
    if not port.isdecimal():
        raise RecipeError(f"grpc://{address}: must be grpc://host:port")
    storage = optuna.storages.GrpcStorageProxy(host=host or "localhost", port=int(port))
    try:
        storage.wait_server_ready(timeout=10)
    except Exception:  # grpc's own
        raise RecipeError(f"grpc://{address}: nobody answers") from None
    return storage


def quieten() -> None:
    """Hides what Optuna says about each trial, and about parts of it that may change."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def make_pruner(name: str, instances: int, steps: int) -> BasePruner:
    """A pruner by name.

    Args:
        name: one of `PRUNERS`. `wilcoxon` compares whole runs, seed by seed, with those of the best trial;
            `median` and `hyperband` compare a trial's progress with that of others after as many steps.
        instances: runs of a trial.
        steps: of all of a trial's runs together.

    Raises:
        RecipeError: no such pruner.
    """
    if name not in PRUNERS:
        raise RecipeError(
            f"unknown pruner {name!r}: must be one of {', '.join(PRUNERS)}{nearest(name, PRUNERS)}"
        )
    if name == "wilcoxon":
        return optuna.pruners.WilcoxonPruner(p_threshold=wilcoxon_threshold(instances), n_startup_steps=2)
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=steps // (4 * instances))
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(max(steps // 9, 1), steps, reduction_factor=3)
    return optuna.pruners.NopPruner()


def wilcoxon_threshold(instances: int) -> float:
    """The p-value below which the Wilcoxon pruner stops a trial of so many runs.

    With n pairs the smallest p is 2^-n, so that the usual 0.1 would never stop a trial of three runs. Of few
    runs, two that lost are enough (p = 0.25); of eight or more, three (p = 0.125).
    """
    return 0.26 if instances < 8 else 0.13


class SeededSampler(BaseSampler):
    """Another sampler, made anew for every trial from the study's seed and the trial's number.

    Args:
        name: one of `SAMPLERS`.
        space: what is sampled.
        defaults: the values of trial 0.
        seed: the study's.

    Raises:
        RecipeError: no such sampler, or its package is missing.
    """

    def __init__(self, name: str, space: Space, defaults: Mapping[str, Any] | None, seed: int) -> None:
        if name not in SAMPLERS:
            known = ", ".join(SAMPLERS)
            raise RecipeError(f"unknown sampler {name!r}: must be one of {known}{nearest(name, SAMPLERS)}")
        self.name = name
        self.space = space
        self.defaults = defaults
        self.seed = seed
        self.grid = _grid(space, seed) if name == "grid" else []
        self._made: tuple[int, BaseSampler] | None = None
        self._inner(1)  # says at once if a package is missing

    def _inner(self, number: int) -> BaseSampler:
        if self._made is None or self._made[0] != number:
            self._made = (number, self._make(random.Random(f"{self.seed} {number}").getrandbits(32)))
        return self._made[1]

    def _make(self, seed: int) -> BaseSampler:
        samplers = optuna.samplers
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self.name == "tpe":
                return samplers.TPESampler(
                    seed=seed, multivariate=True, constant_liar=True, n_startup_trials=STARTUP
                )
            if self.name == "cmaes":
                if find_spec("cmaes") is None:
                    raise RecipeError("CMA-ES needs a package: pip install 'catzoo[tune]'")
                return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
            return samplers.RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Optuna asks which parameters are sampled together."""
        if trial.number == 0 or self.grid:
            return distributions(self.space)
        return self._inner(trial.number).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Optuna asks for them."""
        if trial.number == 0:
            return dict(self.defaults or {})
        if self.grid:
            return self._unvisited(study)
        return self._inner(trial.number).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Optuna asks for one that the others say nothing about."""
        return self._inner(trial.number).sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Optuna says how a trial ended; CMA-ES keeps what it needs."""
        if trial.number > 0 and not self.grid:
            self._inner(trial.number).after_trial(study, trial, state, values)

    def _unvisited(self, study: Study) -> dict[str, Any]:
        visited = [trial.params for trial in study.get_trials(deepcopy=False) if trial.number > 0]
        return next((point for point in self.grid if point not in visited), self.grid[0])


def _grid(space: Space, seed: int) -> list[dict[str, Any]]:
    """Every point of a space's grid, shuffled, so that the first of them are spread over it."""
    points: list[dict[str, Any]] = [{}]
    for parameter in space.parameters:
        points = [{**point, parameter.key: value} for point in points for value in parameter.grid()]
    random.Random(seed).shuffle(points)
    return points


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """A space in Optuna's words."""
    return {parameter.key: _distribution(parameter) for parameter in space.parameters}


def _distribution(parameter: Parameter) -> BaseDistribution:
    if parameter.kind == "choice":
        return CategoricalDistribution(parameter.choices)
    if parameter.kind == "int":
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)


class Trials:
    """The trials of one study: asked for, run, told.

    Args:
        name: the study's, in its storage.
        storage: see `open_storage`.
        sampler, pruner: of the study.
        place: who runs the trials that are asked for here; a restarted process of the same place goes on
            with them.
    """

    def __init__(
        self, name: str, storage: BaseStorage, sampler: SeededSampler, pruner: BasePruner, place: str
    ) -> None:
        self.study = optuna.create_study(
            study_name=name,
            storage=storage,
            sampler=sampler,
            pruner=pruner,
            direction="maximize",
            load_if_exists=True,
        )
        self.storage = self.study._storage
        self.space = sampler.space
        self.has_defaults = sampler.defaults is not None
        self.place = place
        self._nobodys: dict[int, float] = {}

    def settings(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """What the study was made with: `own`, if it is new."""
        attributes = self.study.user_attrs
        if "settings" not in attributes:
            self.study.set_user_attr("settings", dict(own))
        return dict(attributes.get("settings", own))

    def where(self, storage: str | os.PathLike[str]) -> str:
        """The storage's name for messages."""
        return shown_url(os.fspath(storage))

    def at_most(self, wanted: int) -> int:
        """How many trials there can be: a grid has an end."""
        sampler = self.study.sampler
        assert isinstance(sampler, SeededSampler)
        return min(wanted, 1 + len(sampler.grid)) if sampler.grid else wanted

    def all(self) -> list[FrozenTrial]:
        """Every trial that counts, in order; not those that another took the place of."""
        trials = self.study.get_trials(deepcopy=False)
        return [trial for trial in trials if trial.state != TrialState.FAIL or "error" in trial.user_attrs]

    def finished(self) -> list[FrozenTrial]:
        """Trials that have ended."""
        return [trial for trial in self.all() if trial.state.is_finished()]

    def interrupted(self) -> list[Trial]:
        """Trials that a process of this place was running when it ended."""
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        mine = [trial for trial in running if not self.shared or trial.user_attrs.get("place") == self.place]
        return [self._suggested(optuna.trial.Trial(self.study, trial._trial_id)) for trial in mine]

    def _fail_stale(self) -> None:
        """Gives away what other machines began and did not go on with."""
        optuna.storages.fail_stale_trials(self.study)
        # One that was killed between asking for a trial and its first sign of life: nobody has it.
        now = time.monotonic()
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        nobodys = [trial for trial in running if "place" not in trial.user_attrs]
        self._nobodys = {trial.number: self._nobodys.get(trial.number, now) for trial in nobodys}
        for trial in nobodys:
            if now - self._nobodys[trial.number] > GRACE:
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    @property
    def shared(self) -> bool:
        """Whether other machines may be at work on the study."""
        return not isinstance(self.storage, optuna.storages.JournalStorage)

    def next(self, wanted: int) -> Trial | None:
        """A new trial, unless there are `wanted` already."""
        if self.shared:
            self._fail_stale()
        waiting = any(trial.state == TrialState.WAITING for trial in self.all())
        if not waiting and len(self.all()) >= wanted:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the heartbeat is ours, see `alive`
            trial = self.study.ask()
        trial.set_user_attr("place", self.place)
        self._beat(trial)
        # Two machines may have asked at once: numbers are unique, so all agree on which are too many.
        rank = sum(other.number <= trial.number for other in self.all())
        if rank > wanted:
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        return self._suggested(trial)

    def _suggested(self, trial: Trial) -> Trial:
        if trial.number > 0 or self.has_defaults:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for key, distribution in distributions(self.space).items():
                    trial._suggest(key, distribution)
        return trial

    def report(self, trial: Trial, value: float, step: int) -> bool:
        """Says how a trial is doing after some step; returns whether to end it."""
        if step not in self.frozen(trial).intermediate_values:
            trial.report(value, step)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return trial.should_prune()

    def frozen(self, trial: Trial) -> FrozenTrial:
        """A trial as the storage has it."""
        return self.storage.get_trial(trial._trial_id)

    def end(self, trial: Trial, value: float, **about: Any) -> None:
        """Records a trial's value."""
        self._about(trial, about)
        self._tell(trial, values=value)

    def prune(self, trial: Trial, value: float | None, **about: Any) -> None:
        """Records that a trial was ended early, and the value of the runs that it had, if one is known.

        With a value it counts as complete for the sampler, as Optuna advises for the Wilcoxon pruner; it is
        never the best one.
        """
        self._about(trial, {**about, "pruned": True})
        if value is None:
            self._tell(trial, state=TrialState.PRUNED)
        else:
            self._tell(trial, values=value)

    def fail(self, trial: Trial, error: str, **about: Any) -> None:
        """Records that a trial has no value."""
        self._about(trial, {**about, "error": error})
        self._tell(trial, state=TrialState.FAIL)

    def _about(self, trial: Trial, about: Mapping[str, Any]) -> None:
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            for name, value in about.items():
                trial.set_user_attr(name, value)

    def _tell(self, trial: Trial, **how: Any) -> None:
        # Where this machine was away for too long, another has the trial by now.
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            self.study.tell(trial, **how, skip_if_finished=True)

    def _beat(self, trial: Trial) -> None:
        from optuna.storages._heartbeat import BaseHeartbeat

        if isinstance(self.storage, BaseHeartbeat):
            self.storage.record_heartbeat(trial._trial_id)

    @contextlib.contextmanager
    def alive(self, running: Callable[[], Sequence[Trial]]) -> Iterator[None]:
        """Gives signs of life of the trials that run, in storages that keep them."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT / 2):
                for trial in list(running()):
                    with contextlib.suppress(Exception):  # the next beat may get through
                        self._beat(trial)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def best_of(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """The best trial that went to its end; the first of equals."""
    whole = [
        trial
        for trial in trials
        if trial.state == TrialState.COMPLETE
        and not trial.user_attrs.get("pruned")
        and trial.value is not None
    ]
    return max(whole, key=lambda trial: (trial.value, -trial.number), default=None)
