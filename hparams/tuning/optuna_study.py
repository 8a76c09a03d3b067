"""Optuna studies over a search space: which trial comes next, and how each of them ended.

Trial 0 is the recipe as it is (if the machine that makes it dies, the trial that takes its place is).
Every other trial's values are a function of the study's seed, its
number and the trials before it, so that a study which one process makes is the same each time, interrupted
or not: samplers are made anew for each trial, from a seed of its own.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import BaseStorage
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.trial import FrozenTrial, TrialState

from catzoo.hparams.schema import RecipeError
from catzoo.hparams.tuning.samplers import (
    DEFAULT,
    ERROR,
    SeededSampler,
    counts,
    default_is_due,
    is_default,
    suggest,
)
from catzoo.hparams.tuning.storage import GRACE, HEARTBEAT, PLACE, shown_url

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.trial import Trial


PRUNED = "pruned"
"""Marks a trial that was ended early, in its attributes."""
SETTLED = 1.0
"""Seconds after which machines that began a study at the same moment have all said what it is."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides what Optuna says about each trial, and about parts of it that may change."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


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
        """What the study was made with: `own`, if it is new.

        Raises:
            RecipeError: somebody else made it.
        """
        study = self.study
        there = study.user_attrs.get("settings")
        begun = there is None and bool(study.get_trials(deepcopy=False))
        if begun or study.direction != optuna.study.StudyDirection.MAXIMIZE:
            raise RecipeError(
                f"the storage's study {study.study_name} is not catzoo's: choose another --study-dir"
            )
        if there is None:
            self.study.set_user_attr("settings", dict(own))
            if self.shared:  # another machine may have found none either: the last to write has it
                time.sleep(SETTLED)
            there = self.study.user_attrs["settings"]
        return dict(there)

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
        return [trial for trial in self.study.get_trials(deepcopy=False) if counts(trial)]

    def finished(self) -> list[FrozenTrial]:
        """Trials that have ended."""
        return [trial for trial in self.all() if trial.state.is_finished()]

    def interrupted(self) -> list[Trial]:
        """Trials that a process of this place was running when it ended."""
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        mine = [trial for trial in running if not self.shared or trial.user_attrs.get(PLACE) == self.place]
        again = [optuna.trial.Trial(self.study, trial._trial_id) for trial in mine]
        for trial in again:  # its last sign of life may be so old that it would be given away
            self._beat(trial)
        return [self._suggested(trial) for trial in again]

    def _fail_stale(self) -> None:
        """Gives away what other machines began and did not go on with."""
        optuna.storages.fail_stale_trials(self.study)
        # One that was killed between asking for a trial and its first sign of life: nobody has it.
        now = time.monotonic()
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        nobodys = [trial for trial in running if PLACE not in trial.user_attrs]
        self._nobodys = {trial.number: self._nobodys.get(trial.number, now) for trial in nobodys}
        for trial in nobodys:
            if now - self._nobodys[trial.number] > GRACE:
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def at_work_elsewhere(self) -> list[FrozenTrial]:
        """Trials of other machines that end, or are given away, sooner or later."""
        if not isinstance(self.storage, BaseHeartbeat):
            return []  # of a machine that died nobody would hear
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING))
        return [trial for trial in running if trial.user_attrs.get(PLACE) != self.place]

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
        self._beat(trial)  # first: a trial of a machine that died is given away when it beats no more
        trial.set_user_attr(PLACE, self.place)
        # Two machines may have asked at once: numbers are unique, so all agree on which are too many.
        rank = sum(other.number <= trial.number for other in self.all())
        if rank > wanted:
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        return self._suggested(trial)

    def _suggested(self, trial: Trial) -> Trial:
        if default_is_due(self.study.get_trials(deepcopy=False), trial.number):
            trial.set_user_attr(DEFAULT, True)
        if self.has_defaults or not is_default(self.frozen(trial)):
            suggest(trial, self.space)
        return trial

    def report(self, trial: Trial, value: float, step: int) -> bool:
        """Says how a trial is doing after some step; returns whether to end it: never the default.

        A step that was reported before an interruption, and that others follow, was judged then. Of a trial
        that another machine has by now nothing is said.
        """
        there = self.frozen(trial)
        if there.state.is_finished():
            return False
        if step < max(there.intermediate_values, default=step):
            return False
        # Between the two another machine may take the trial.
        with warnings.catch_warnings(), contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            warnings.simplefilter("ignore")
            if step not in there.intermediate_values:
                trial.report(value, step)
            return trial.should_prune() and not is_default(there)
        return False

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
        never the best one: a value above that of the best whole trial is of too few runs, and cut to it.
        """
        best = best_of(self.all())
        if value is not None and best is not None and best.value is not None:
            value = min(value, math.nextafter(best.value, -math.inf))
        self._about(trial, {**about, PRUNED: True})
        if value is None:
            self._tell(trial, state=TrialState.PRUNED)
        else:
            self._tell(trial, values=value)

    def fail(self, trial: Trial, error: str, **about: Any) -> None:
        """Records that a trial has no value."""
        self._about(trial, {**about, ERROR: error})
        self._tell(trial, state=TrialState.FAIL)

    def _about(self, trial: Trial, about: Mapping[str, Any]) -> None:
        # A process that was killed before it could end the trial may have said other things of it.
        there = self.frozen(trial).user_attrs
        stale = {name: None for name in (PRUNED, ERROR) if there.get(name)}
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            for name, value in {**stale, **about}.items():
                trial.set_user_attr(name, value)

    def _tell(self, trial: Trial, **how: Any) -> None:
        # Where this machine was away for too long, another has the trial by now.
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            self.study.tell(trial, **how, skip_if_finished=True)

    def _beat(self, trial: Trial) -> None:
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
        if trial.state == TrialState.COMPLETE and not trial.user_attrs.get(PRUNED) and trial.value is not None
    ]
    return max(whole, key=lambda trial: (trial.value, -trial.number), default=None)
