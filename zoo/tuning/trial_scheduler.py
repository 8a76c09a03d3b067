"""Trials at work: so many at a time, each of them one run after another, in processes of their own.

This process is the only one that speaks to Optuna, also where a cluster makes the runs. They are those of
`catzoo train`, in folders of the trial. A process that is killed is started again from its run's last
checkpoint, and whoever kills this one finds the trial going on with the runs that it has.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from catzoo.hparams import NoRoomError, RecipeError
from catzoo.zoo.folders.run_folder import finished_result
from catzoo.zoo.folders.study_folder import StudyFolder
from catzoo.zoo.launch.backends import Backend
from catzoo.zoo.launch.board_rows import DONE, FAILED, PRUNED, Row
from catzoo.zoo.launch.job_loop import run_jobs
from catzoo.zoo.launch.jobs import Ending, Job
from catzoo.zoo.launch.progress_board import Board
from catzoo.zoo.system.csv_rows import newest_row
from catzoo.zoo.system.digits import score
from catzoo.zoo.training.resume import drop_checkpoints
from catzoo.zoo.tuning.objective import MARKS, normalised, progress_at
from catzoo.zoo.tuning.outcome import chosen_by, state_of, valued

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial

    from catzoo.hparams.tuning.optuna_study import Trials
    from catzoo.zoo.tuning.study_plan import Plan


PATIENCE = 5
"""Seconds between looks at what other machines do, when nothing is left to do here."""


@dataclass
class Active:
    """A trial at work."""

    trial: Trial
    jobs: list[Job]
    """Its runs: seeds outermost, then environments."""
    row: Row
    """What the board shows of it."""
    scores: list[float] = field(default_factory=list)
    """Normalised, of the runs that have ended."""
    steps: int = 0
    """Made by its runs."""
    marks: int = 0
    """Parts of the present run that its progress was reported for."""
    stopped: bool = False
    """Whether its present run is being ended because the trial is pruned."""

    @property
    def name(self) -> str:
        """See `name_of`."""
        return name_of(self.trial)


class Scheduler:
    """Runs the trials of a study until there are as many as wanted.

    Args:
        plan: what the study is.
        trials: its trials.
        folder: where the runs go.
        wanted: how many trials there shall be.
        backend: makes the runs, so many trials at a time as it has places.
        tell: prints a line; None: nothing is shown.
    """

    def __init__(
        self,
        plan: Plan,
        trials: Trials,
        folder: StudyFolder,
        wanted: int,
        backend: Backend,
        tell: Callable[[str], None] | None,
    ) -> None:
        self.plan, self.trials, self.folder = plan, trials, folder
        self.wanted, self.backend = wanted, backend
        self.tell = tell or (lambda line: None)
        self.active: list[Active] = []
        self.interrupted: list[Trial] = []
        self.waiting: list[Job] = []
        self.waited = False
        self.seen = time.monotonic()
        self.per_trial = plan.instances * plan.steps
        before = [_row_of(trial, self.per_trial) for trial in trials.finished()]
        self.board = Board("trial", max(wanted, len(before)), wanted * self.per_trial, tell, before)

    def run(self) -> None:
        """Works until all trials have ended.

        Raises:
            KeyboardInterrupt: after the runs have been saved.
        """
        with (
            self.trials.alive(lambda: [*(active.trial for active in self.active), *self.interrupted]),
            self.board,
        ):
            run_jobs(self._runs(), self.backend, begin=self._begin, look=self._look, end=self._end)

    def _runs(self) -> Iterator[Job | None]:
        """The next run of a trial at work, or else of another trial; None: one of them has to end before."""
        self.interrupted = self.trials.interrupted()
        while True:
            if self.waiting:
                yield self.waiting.pop(0)
            elif trial := self.interrupted.pop(0) if self.interrupted else self.trials.next(self.wanted):
                self._take_up(trial)
            elif self.active:
                self._see_others(every=PATIENCE)
                yield None
            elif self._others_at_work():
                self._see_others()
                time.sleep(PATIENCE)  # one of them may die, and its trial be left for this one
            else:
                self._see_others()
                return

    def _others_at_work(self) -> bool:
        others = self.trials.at_work_elsewhere()
        if others and not self.waited:
            self.tell(f"waiting for other machines: {len(others)} at work on trials")
        self.waited = bool(others)
        return self.waited

    def _see_others(self, every: float = 0.0) -> None:
        """Trials that other machines have ended since are rows too; looks at most every so many seconds."""
        if time.monotonic() - self.seen < every:
            return
        self.seen = time.monotonic()
        shown = {row.name for row in self.board.rows}
        for trial in self.trials.finished():
            if name_of(trial) not in shown:
                self.board.add(_row_of(trial, self.per_trial))

    def _take_up(self, trial: Trial) -> None:
        self._see_others()
        try:
            chosen = chosen_by(self.trials.frozen(trial))
            jobs = self.plan.jobs(self.folder.trial(trial.number), trial.number, chosen)
        except RecipeError as error:  # values that contradict each other
            self.trials.fail(trial, str(error), steps=0)
            self.board.end(self._row(trial), FAILED)
            self.tell(f"{name_of(trial)}: failed: {error}")
            return
        active = Active(trial, jobs, self._row(trial))
        self.active.append(active)
        self.tell(f"{name_of(trial)} begins: {describe(trial.params) or 'the recipe as it is'}")
        self._advance(active)

    def _row(self, trial: Trial) -> Row:
        return self.board.add(Row(name_of(trial), self.per_trial))

    def _advance(self, active: Active) -> None:
        """Takes what is finished already, and has the trial's next run wait for its worker."""
        while len(active.scores) < len(active.jobs):
            job = active.jobs[len(active.scores)]
            try:
                result = finished_result(job.run, job.recipe)
                if result is None:
                    self.waiting.append(job)
                    return
                self._take(active, job, result)
            except ValueError as error:  # RecipeError too
                self._fail(active, f"{job.run.path.name}: {error}")
                return
            if active.stopped:
                return
        self._finish(active)

    def _begin(self, job: Job, again: bool) -> None:
        job.log.parent.mkdir(parents=True, exist_ok=True)
        self.board.begin(self._of(job).row, job.run, job.recipe.steps)

    def _take(self, active: Active, job: Job, result: Mapping[str, Any]) -> None:
        """Adds a finished run's score to the trial's, and prunes it if that was enough."""
        drop_checkpoints(job.run)
        self._report_marks(active, job, MARKS)
        active.marks = 0
        score = self.plan.score(job, result)
        active.scores.append(score)
        active.steps += int(result["steps"])
        whole = len(active.scores) >= len(self.plan.recipes)
        self.board.run_ended(active.row, active.steps, self.plan.value(active.scores) if whole else math.nan)
        if active.stopped:
            self._prune(active)
        elif self.plan.pruner == "wilcoxon":
            lost = self.trials.report(active.trial, score, len(active.scores) - 1)
            if lost and len(active.scores) < len(active.jobs):
                self._prune(active)

    def _look(self, job: Job) -> bool:
        """Looks how far a run is; returns whether its trial is pruned now."""
        active = self._of(job)
        self.board.look(active.row)
        row = newest_row(job.run.metrics, "step") if self.plan.prunes_within else {}
        done = int(row.get("step") or 0) * MARKS // job.recipe.steps
        if done <= active.marks or active.stopped:
            return False
        self._report_marks(active, job, min(done, MARKS - 1))
        return active.stopped

    def _report_marks(self, active: Active, job: Job, until: int) -> None:
        """Reports a run's progress, mark by mark; marks the trial as stopped if it is to be pruned."""
        if not self.plan.prunes_within:
            return
        before = len(active.scores) * MARKS
        for mark in range(active.marks + 1, until + 1):
            value = progress_at(job.run, job.recipe.steps, mark)
            active.marks = mark
            if not math.isfinite(value):
                continue
            value = normalised(value, self.plan.scales[job.recipe.env])
            step = (before + mark) * self.plan.steps // MARKS
            last = before + mark == len(active.jobs) * MARKS
            if self.trials.report(active.trial, value, step) and not last:
                active.stopped = True
                return

    def _end(self, job: Job, ending: Ending, again: bool) -> None:
        active, problem = self._of(job), ending.problem
        if active.stopped:
            active.steps += active.marks * job.recipe.steps // MARKS
            self._prune(active)
        elif problem is None:
            self._advance(active)
        elif ending.no_room:  # the trial is as good as any, and goes on with the next command
            raise NoRoomError(f"{active.name}: {problem}")
        elif again:
            self.tell(f"{active.name}: {job.run.path.name}: {problem}; it begins again")
        else:
            self._fail(active, f"{job.run.path.name}: {problem}; see {job.log}")

    def _of(self, job: Job) -> Active:
        return next(active for active in self.active if job in active.jobs)

    def _finish(self, active: Active) -> None:
        value = self.plan.value(active.scores)
        self.trials.end(active.trial, value, **self._about(active))
        self._over(active, DONE, f"{self.plan.objective} {score(value)}")

    def _prune(self, active: Active) -> None:
        active.stopped = True
        # Whole seeds came to something; a run's progress is on a scale of its own, as is one environment.
        whole = not self.plan.prunes_within and len(active.scores) >= len(self.plan.recipes)
        value = self.plan.value(active.scores) if whole else None
        self.trials.prune(active.trial, value, **self._about(active))
        self._over(active, PRUNED, f"pruned after {len(active.scores)} of {len(active.jobs)} runs")

    def _fail(self, active: Active, error: str) -> None:
        self.trials.fail(active.trial, error, **self._about(active))
        self._over(active, FAILED, f"failed: {error}")

    def _over(self, active: Active, state: str, line: str) -> None:
        self.active.remove(active)
        self.board.end(active.row, state)
        for job in active.jobs:
            drop_checkpoints(job.run)
        shown = describe(active.trial.params)
        done = len(self.trials.finished())
        self.tell(f"{active.name}: {line}{f'  ({shown})' if shown else ''}  [{done} of {self.wanted}]")

    def _about(self, active: Active) -> dict[str, Any]:
        return {"scores": active.scores, "steps": active.steps}


def _row_of(trial: FrozenTrial, steps: int) -> Row:
    """What the board shows of a trial that was made before."""
    state = {"complete": DONE, "pruned": PRUNED}.get(state_of(trial), FAILED)
    value = trial.value if valued(trial) and trial.value is not None else math.nan
    return Row(name_of(trial), steps, state, before=steps, value=value)


def name_of(trial: Trial | FrozenTrial) -> str:
    """What a trial is called on the screen."""
    return f"trial {trial.number}"


def describe(params: Mapping[str, Any]) -> str:
    """A trial's values in few characters."""
    short = {key: f"{value:.3g}" if isinstance(value, float) else value for key, value in params.items()}
    return " ".join(f"{key}={value}" for key, value in short.items())
