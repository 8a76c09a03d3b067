"""A run at work in its folder: where it goes on, what acts while it trains, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from catzoo.agents import (
    Agent,
    AtWork,
    BestWeights,
    Checkpointing,
    Checkpoints,
    Evaluation,
    NotFiniteError,
    SupportMonitor,
)
from catzoo.hparams import Recipe, RecipeError
from catzoo.zoo.environments.protocols import Protocol
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.pictures.learning_curve import learning_curve
from catzoo.zoo.system.console import counting, say, waiting
from catzoo.zoo.training.compute import compute_words
from catzoo.zoo.training.evaluate import evaluate_trained, result_of
from catzoo.zoo.training.metrics_csv import EpisodeLog
from catzoo.zoo.training.progress_bar import TrainingBar
from catzoo.zoo.training.resume import identity, restore
from catzoo.zoo.training.stopping import Stopping
from catzoo.zoo.training.weights import save_weights


class Session:
    """What is saved, watched and written around the training of one run.

    Args:
        run: its folder, held for this process.
        recipe: what is trained.
        work: the agent at work.
        protocol: the environment's.
        stopping: says whether training is to stop.
    """

    def __init__(
        self, run: Run, recipe: Recipe, work: AtWork, protocol: Protocol, stopping: Stopping
    ) -> None:
        self.run, self.recipe, self.work, self.protocol, self.stopping = run, recipe, work, protocol, stopping
        self.bar = TrainingBar()
        could_be_auto = getattr(recipe, "support", "auto") == "set"
        self.monitor = SupportMonitor(
            work.agent.value_loss, recipe.value_loss.sigma, could_be_auto, work.agent.adaptive is not None
        )
        self.best = BestWeights(recipe.checkpoint_every)
        self.is_first = not work.ranks.rank
        """Whether this learner watches and writes for all; the others only learn, and save their parts."""
        also = {"support": self.monitor, "best": self.best} if self.is_first else {}
        self.checkpoints = Checkpoints(run.checkpoints, work, run=identity(recipe), also=also)

    def go_on(self) -> int:
        """Takes up the newest checkpoint; returns its step, 0 for a new run.

        Raises:
            RecipeError: see `restore`.
        """
        if not self.is_first:
            return self.checkpoints.restore() or 0
        with waiting("looking for a checkpoint"):
            restored = restore(self.checkpoints, self.recipe, self.run)
        # With what may differ from before, such as more steps.
        self.run.save_recipe(self.recipe, self.protocol)
        return restored

    def callbacks(self) -> list[Any]:
        """Lightning's, in this order: what is part of the checkpoints acts before they are written."""
        recipe = self.recipe
        saving = Checkpointing(recipe.checkpoint_every, self.checkpoints, self.stopping.agreed)
        if not self.is_first:
            return [saving, self.stopping]
        return [
            EpisodeLog(self.run.episodes, recipe.games),
            self.monitor,
            self.best,
            Evaluation(recipe.eval.every, self._interim_scores),
            saving,
            self.stopping,
            self.bar,
        ]

    def _interim_scores(self, agent: Agent) -> list[float]:
        """Returns while it trains; none where no environment can be opened beside the training's."""
        asked = self.recipe.eval
        self.work.rest()  # what plays in a thread may draw from the same random streams
        try:
            return self._scores(asked.interim_episodes, "interim", asked.every, self.bar.evaluating)
        except RecipeError as error:
            say(f"no evaluation at step {self.work.steps:,}, and the training goes on: {error}")
            return []

    def _scores(
        self, episodes: int, purpose: str, after: int, progress: Callable[[int], None]
    ) -> list[float]:
        return evaluate_trained(
            self.work.agent, self.recipe, episodes,
            purpose=purpose, after=after, protocol=self.protocol, progress=progress,
        )  # fmt: skip

    def save(self, *, anew: bool = False) -> None:
        """The last checkpoint; `anew` as `Checkpoints.save` has it."""
        if not self.stopping():
            self.best.act(self.work)  # part of the checkpoint, so that a longer run has nothing worse
        self.checkpoints.save(anew=anew)

    @contextmanager
    def saved_from_simulators(self) -> Iterator[None]:
        """What was learned is saved when a simulator fails; it is part of no checkpoint.

        Raises:
            FloatingPointError: says so.
        """
        try:
            yield
        except NotFiniteError:  # what is learned is broken
            raise
        except FloatingPointError as error:
            if self.work.ranks.count > 1 or not self.work.steps:  # the others wait for no checkpoint
                raise
            self.save(anew=True)
            raise FloatingPointError(
                f"{error}; saved at step {self.work.steps:,}, where the same command goes on"
            ) from None

    def finish(self) -> dict[str, Any]:
        """Weights, greedy evaluation, picture and result; returns the content of result.json."""
        work, run = self.work, self.run
        save_weights(run, work.agent, work.steps, self.best)
        work.close()  # of some simulators there can be one at a time
        asked = self.recipe.eval.episodes
        with counting("evaluating", asked) as progress:
            scores = self._scores(asked, "evaluation", self.recipe.steps, progress)
        result = {
            **result_of(self.recipe, scores, self.protocol),
            "run_dir": str(run.path),
            "compute": compute_words(work.compute),
            "advice": self.monitor.advice(),
            "train_return": work.metrics.get("train/return"),
        }
        learning_curve(run, result)
        run.save_result(result)
        return result
