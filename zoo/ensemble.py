"""`train_ensemble`: many seeds of one DQN recipe in one process, and a run folder for each.

What is shared is the arithmetic, see `catzoo.agents.ensemble`. Each seed leaves what `catzoo train` would
leave, to the metrics, checkpoints and best weights, and either can go on with what the other began.

What it saves is what an update costs beside its arithmetic. On one thread of a CPU ten seeds of CartPole
take the time of 5.4 runs with layers of 64 and of 7.9 with the recipe's of 256, and ten of MinAtar that
of 7.1 to 8.4 (`results/ensemble.csv`). With several cores `train_many` and a worker for each are faster.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from catzoo.hparams import Recipe, RecipeError
from catzoo.zoo.console import counting
from catzoo.zoo.continuing import identity, restore
from catzoo.zoo.room import no_room_told
from catzoo.zoo.runs import Run
from catzoo.zoo.training import _callbacks, _loggers, _quieten, default_folder, finished_result


def train_ensemble(
    recipe: Recipe, seeds: Sequence[int], folders: Sequence[str | os.PathLike[str]] | None = None
) -> list[dict[str, Any]]:
    """Trains the seeds of one recipe together; each is what `train` would make of it, to rounding.

    Seeds that are finished already are left as they are. Interrupted ones go on from their newest
    checkpoints, each from its own step.

    Args:
        recipe: of a DQN with uniform replay; its own seed does not count.
        seeds: one or more, each once.
        folders: a run folder for each seed; `runs/dqn-ENV[-PRESET]-LOSS-sSEED` by default.

    Returns:
        The content of each seed's `result.json`, in the order of the seeds; `compute.ensemble` in it says
        how many seeds shared the process.

    Raises:
        RecipeError: anything wrong with what was asked for, in one line, before anything is written.
        FloatingPointError: a member's loss is not a number. It ends all; the others go on from their
            checkpoints without it.
        KeyboardInterrupt: after a checkpoint of every seed.
    """
    from catzoo.agents import NotFiniteError

    check_ensemble(recipe, len(seeds))
    recipes = [dataclasses.replace(recipe, seed=seed) for seed in seeds]
    runs = [Run(Path(folder)) for folder in folders or map(default_folder, recipes)]
    for name, given in (("seeds", list(seeds)), ("folders", [run.path.absolute() for run in runs])):
        if len(set(given)) < len(given):
            raise RecipeError(f"{name}={[str(one) for one in given]}: each once")
    if len(runs) != len(recipes):
        raise RecipeError(f"folders={len(runs)} of them: one for each of {len(seeds)} seeds is needed")
    results = [finished_result(run, one) for run, one in zip(runs, recipes, strict=True)]
    todo = [index for index, result in enumerate(results) if result is None]
    seats = [_Seat(recipes[index], runs[index]) for index in todo]
    try:
        with no_room_told("the same call goes on from the last checkpoints"):
            for index, result in zip(todo, _train(seats), strict=True) if seats else ():
                results[index] = result
    except NotFiniteError as error:
        run = next(seat.run for seat in seats if seat.culprit)
        try:
            where = f"the batch is in {run.save_batch(error.batch)}"
        except OSError as problem:
            where = f"the batch cannot be written: {problem.strerror or problem}"
        raise FloatingPointError(f"{run.path}: {error}: {where}") from None
    return [result for result in results if result is not None]


def check_ensemble(recipe: Recipe, size: int) -> None:
    """Refuses a recipe whose seeds cannot be trained together.

    Raises:
        RecipeError: names the key.
    """
    from catzoo.agents import DQN
    from catzoo.zoo.build import AGENTS, overlaps

    if size < 1:
        raise RecipeError("seeds=[]: at least one is needed")
    if AGENTS.get(recipe.agent) is not DQN:
        raise RecipeError(f"agent={recipe.agent}: only DQN's seeds can be trained in one process")
    refused = {
        "noisy=true": recipe.noisy,
        "replay.prioritized=true": recipe.replay.prioritized,
        "replay.store=frames": recipe.replay.store == "frames",
        "compute.compile=true": recipe.compute.compile,
        "compute.cuda_graph=true": recipe.compute.cuda_graph,
        "compute.overlap=true": overlaps(recipe),
        f"record={recipe.record:g}": recipe.record > 0,
    }
    for said, asked in refused.items():
        if asked:
            raise RecipeError(f"{said}: not with several seeds in one process; train them one by one")


class _Loop:
    """What callbacks ask of Lightning's trainer, which drives one agent and not several."""

    def __init__(self, loggers: Sequence[Any]) -> None:
        self.loggers = loggers
        self.should_stop = False


class _Seat:
    """One seed of an ensemble: its recipe, its folder, and what is written there."""

    def __init__(self, recipe: Recipe, run: Run) -> None:
        self.recipe, self.run = recipe, run
        self.culprit = False  # whether its loss was not a number

    def sit(self, agent: Any, stopping: Any) -> None:
        """Takes up the run, from its newest checkpoint if it has one."""
        from catzoo.agents import BestWeights, Checkpoints, SupportMonitor
        from catzoo.zoo.progress import TrainingBar

        recipe, run = self.recipe, self.run
        self.agent = agent
        self.monitor, self.best = SupportMonitor(agent.value_loss), BestWeights(recipe.checkpoint_every)
        also = {"support": self.monitor, "best": self.best}
        self.checkpoints = Checkpoints(run.checkpoints, agent, run=identity(recipe), also=also)
        restored = restore(self.checkpoints, recipe, run)
        run.save_recipe(recipe)
        self.loop = _Loop(_loggers(run, None, restored))
        agent.trainer = self.loop
        made = _callbacks(recipe, run, self.checkpoints, [self.monitor, self.best], stopping)
        self.callbacks = [callback for callback in made if not isinstance(callback, TrainingBar)]
        agent.on_train_start()
        for callback in self.callbacks:
            callback.on_train_start(self.loop, agent)

    def follow(self) -> None:
        """What comes after an iteration: episodes, interim evaluation, checkpoint."""
        for callback in self.callbacks:
            callback.on_train_batch_end(self.loop, self.agent, None, None, 0)

    def save(self, *, finished: bool) -> None:
        """The last rows of metrics, and a checkpoint."""
        for logger in self.loop.loggers:
            logger.finalize("success" if finished else "interrupted")
        if finished:
            self.best.act(self.agent)
        self.checkpoints.save()

    def finish(self, size: int) -> dict[str, Any]:
        """Weights, greedy evaluation, picture, result."""
        from catzoo.zoo.build import resolved_compute
        from catzoo.zoo.evaluation import evaluate_trained, result_of
        from catzoo.zoo.plots import learning_curve

        recipe, run, agent = self.recipe, self.run, self.agent
        run.save_weights(agent, self.best)
        result = result_of(recipe, evaluate_trained(agent, recipe, recipe.eval.episodes))
        result["run_dir"] = str(run.path)
        result["compute"] = {**resolved_compute(recipe), "ensemble": size}
        result["advice"] = self.monitor.advice()
        result["train_return"] = agent.metrics.get("train/return")
        learning_curve(run, result)
        run.save_result(result)
        run.drop_scratch()
        return result


def _train(seats: Sequence[_Seat]) -> list[dict[str, Any]]:
    """Trains those that sit, each with its folder held for this process."""
    from catzoo.agents import Ensemble, NotFiniteError
    from catzoo.kernels.bench.timing import keep_memory
    from catzoo.zoo.build import build_trainer
    from catzoo.zoo.signals import Stopped, sigterm_raises
    from catzoo.zoo.stopping import Stopping

    _quieten()
    _check_memory(seats)
    keep_memory()  # or large tensors are mapped anew in every update: a tenth of the time on MinAtar
    try:
        ensemble = Ensemble([partial(build_trainer, seat.recipe, seat.run.scratch) for seat in seats])
    except ValueError as error:
        raise RecipeError(f"{seats[0].recipe.env}: {error}") from None
    stopping = Stopping()
    with contextlib.ExitStack() as stack:
        stack.enter_context(sigterm_raises())
        stack.enter_context(contextlib.closing(ensemble))
        for seat in seats:
            stack.enter_context(seat.run.training(seat.recipe))
        with stopping:
            for index, seat in enumerate(seats):
                with ensemble.stream(index):
                    seat.sit(ensemble.members[index], stopping)
            try:
                _loop(ensemble, seats, stopping)
            except NotFiniteError:
                seats[ensemble.culprit].culprit = True
                raise
            for index, seat in enumerate(seats):
                with ensemble.stream(index):
                    seat.save(finished=not stopping())
        if stopping.signum is not None:
            raise Stopped(stopping.signum, min(seat.agent.steps for seat in seats))
        return [seat.finish(len(seats)) for seat in seats]


def _loop(ensemble: Any, seats: Sequence[_Seat], stopping: Any) -> None:
    """The training itself, until all are done or it is to stop."""
    with counting("training", sum(seat.recipe.steps for seat in seats)) as tell:
        while ensemble.playing() and not stopping():
            for index in ensemble.iterate():
                with ensemble.stream(index):
                    seats[index].follow()
            tell(sum(min(seat.agent.steps, seat.recipe.steps) for seat in seats))


def _check_memory(seats: Sequence[_Seat]) -> None:
    """Refuses replays that do not fit into memory together, each of which would alone."""
    from catzoo.agents import replay_bytes
    from catzoo.zoo.build import build_env
    from catzoo.zoo.datasets import itemsize
    from catzoo.zoo.machine import usable_memory

    recipe = seats[0].recipe
    if recipe.replay.place != "memory":
        return
    with contextlib.closing(build_env(recipe, 1)) as env:
        space = env.single_observation_space
    needed = len(seats) * replay_bytes(recipe.replay.capacity, space.shape or (), itemsize(space))
    available = usable_memory()
    if available is not None and needed > available:
        raise RecipeError(
            f"seeds={len(seats)} of them need {needed / 1e9:.1f} GB for their replays and "
            f"{available / 1e9:.1f} GB are free in memory: train fewer at a time, or lower replay.capacity"
        )
