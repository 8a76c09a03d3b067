"""`train`: from an agent's name, an environment and a value loss to a folder with a result."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from catzoo.hparams import LostLearnerError, Recipe, RecipeError, Replaying, plain_overrides, share_of
from catzoo.hparams.paths import Typed
from catzoo.hparams.schema import brief
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.environments.names import as_name, in_one_run, is_list
from catzoo.zoo.folders.recipe_sources import Source, recipes_from
from catzoo.zoo.folders.run_folder import Run, default_folder, finished_result
from catzoo.zoo.folders.run_recipe import INCIDENTAL, compare
from catzoo.zoo.system.console import say, waiting
from catzoo.zoo.system.disk_space import no_room_told
from catzoo.zoo.training.loop import check_wandb, fit, quiet, run_loggers, wandb_run
from catzoo.zoo.training.torch_state import own_torch
from catzoo.zoo.training.weights import save_batch

if TYPE_CHECKING:
    from catzoo.agents.learning.data_parallel import Ranks


def train(
    agent: str | None = None,
    env: str | None = None,
    *,
    source: Source | None = None,
    loss: str | None = None,
    preset: str | None = None,
    steps: int | None = None,
    seed: int | None = None,
    run_dir: Typed | None = None,
    overrides: Iterable[str | Mapping[str, Any]] = (),
    wandb: str | None = None,
) -> dict[str, Any]:
    """Trains an agent of the zoo, or goes on with a run of the same recipe.

    Args:
        agent: name in the zoo, see `catzoo list`.
        env: any Gymnasium id, or `my_package:MyEnv-v0`.
        source: instead of these, a recipe from a file (`catzoo train --from`): a study's best.yaml, one of
            its trials as STUDY:NUMBER, a recipe.yaml or a run folder.
        loss: value loss, such as `hl_gauss`; the recipe's own by default.
        preset: one of the recipe's presets, such as `atari-100k`, see `catzoo show`.
        steps: agent steps in all; the recipe's own by default.
        seed: seeds everything; 0 by default.
        run_dir: the run's folder; `runs/AGENT-ENV[-PRESET]-LOSS[-TRIAL]-sSEED` by default. If a run of the
            same recipe is there already, it goes on from its newest checkpoint.
        overrides: `key=value` strings or nested mappings over the recipe.
        wandb: a Weights & Biases project to log to as well.

    Returns:
        The content of `result.json`: mean return of the greedy policy, every episode's return, and
        what they were measured with.

    Raises:
        RecipeError: anything wrong with what was asked for, in one line, before anything is written.
    """
    recipe, suffix = _asked(agent, env, source, loss, preset, said_of(overrides, steps, seed))
    run = Run(run_dir if run_dir is not None else default_folder(recipe, suffix))
    finished = finished_result(run, recipe)
    if finished is None:
        return train_recipe(recipe, run, wandb=wandb)
    more = ", and more --steps goes on" if run.checkpoints.is_dir() else ", and no checkpoint to go on from"
    say(f"{run.path} is finished: it has {finished['steps']:,} steps{more}")
    if wants_another_evaluation(run, recipe):
        say(f"it keeps its evaluation: catzoo eval {run.path} makes another")
    return finished


def wants_another_evaluation(run: Run, recipe: Recipe) -> bool:
    """Whether a recipe evaluates otherwise than a finished run did."""
    return any(key.startswith("eval.") for key in compare(run.recipe(), recipe, INCIDENTAL))


def recipe_of(
    agent: str | None = None,
    env: str | None = None,
    *,
    source: Source | None = None,
    loss: str | None = None,
    preset: str | None = None,
    steps: int | None = None,
    seed: int | None = None,
    overrides: Iterable[str | Mapping[str, Any]] = (),
) -> Recipe:
    """The recipe that `train` trains with these arguments."""
    return _asked(agent, env, source, loss, preset, said_of(overrides, steps, seed))[0]


def said_of(
    overrides: Iterable[str | Mapping[str, Any]], steps: int | None = None, seed: int | None = None
) -> list[Mapping[str, Any]]:
    """What the user said, as nested mappings."""
    numbers = [{key: value} for key, value in (("steps", steps), ("seed", seed)) if value is not None]
    return [*plain_overrides(overrides), *plain_overrides(numbers)]


def _asked(
    agent: str | None,
    env: str | None,
    source: Source | None,
    loss: str | None,
    preset: str | None,
    said: list[Mapping[str, Any]],
) -> tuple[Recipe, str]:
    """The recipe that is asked for, and what its folder's name says of where it is from."""
    if source is not None:
        found = recipes_from(source, agent=agent, env=env, loss=loss, preset=preset, said=said)
        if len(found) > 1:
            envs = ", ".join(one.recipe.env for one in found)
            raise RecipeError(
                f"{source}: has recipes for {envs}: name one with --env, or train them with --seeds 1"
            )
        return found[0].recipe, found[0].suffix
    if agent is None or env is None:
        raise RecipeError("name an agent and an environment, or a recipe with --from")
    if is_list(as_name(env)):
        raise RecipeError(f"{env} is not one environment: catzoo.train_many makes a run for each of several")
    recipe = find_recipe(agent, in_one_run(env), loss, said, preset)
    share_of(recipe)  # before anything is written
    return recipe, ""


def train_recipe(recipe: Recipe, run: Run, *, wandb: str | None = None, place: Any = None) -> dict[str, Any]:
    """Trains a resolved recipe in a run folder; see `train`.

    `place` is that of a learner among many (`training/ranks.py`), in a process that another one has started.
    """
    with waiting("loading"):
        import torch

        from catzoo.agents import NotFiniteError
        from catzoo.zoo.training.ranks import learners

    try:
        told = no_room_told("the same command goes on from the last checkpoint", run.folder)
        recipe = run.as_begun(recipe)
        with told, own_torch(), quiet(), learners(recipe, run, place) as ranks:
            return _train_recipe(recipe, run, wandb, ranks)
    except LostLearnerError as error:
        raise LostLearnerError(f"{error}; the same command goes on from the last checkpoint") from None
    except torch.OutOfMemoryError:
        raise RecipeError(
            "the GPU is out of memory: lower batch_size, num_envs or network.width, or keep the replay in "
            "main memory with replay.place=memory"
        ) from None
    except torch._dynamo.exc.TorchDynamoException as error:
        first = brief(str(error).strip().partition("\n")[0], 200)
        raise RecipeError(f"compute.compile=true: it cannot be compiled here: {first}") from None
    except NotFiniteError as error:
        try:
            where = f"the batch is in {save_batch(run, error.batch)}"
        except OSError as problem:
            where = f"the batch cannot be written: {problem.strerror or problem}"
        raise FloatingPointError(
            f"{error}: {where}; look at its rewards and observations, and at optimizer.lr"
        ) from None


def too_short(recipe: Recipe) -> str | None:
    """What to say of a recipe that ends before its first update; None: it does not."""
    if not isinstance(recipe, Replaying):
        return None
    # A return of n steps is whole once its environment has played them.
    starts, unfinished = recipe.learning_starts, recipe.num_envs * (recipe.n_step - 1)
    if max(starts, unfinished) < recipe.steps:
        return None
    cause = f"learning_starts={starts:,}"
    if unfinished > starts:
        few = f"num_envs={recipe.num_envs} n_step={recipe.n_step}"
        cause = f"{few}: no return is whole before step {unfinished:,}"
    return f"{cause} of {recipe.steps:,} steps: nothing will be learned"


def _train_recipe(recipe: Recipe, run: Run, wandb: str | None, ranks: Ranks) -> dict[str, Any]:
    with waiting("loading"):
        from catzoo.zoo.environments.protocols import protocol_of
        from catzoo.zoo.system.signals import Stopped, stops_raise
        from catzoo.zoo.training.build import build_trainer
        from catzoo.zoo.training.compute import resolve_compute
        from catzoo.zoo.training.session import Session
        from catzoo.zoo.training.stopping import Stopping

    check_wandb(wandb)
    protocol, stopping = protocol_of(recipe.env, recipe.env_options), Stopping(ranks)
    compute, scratch = resolve_compute(recipe, ranks), run.scratch
    if ranks.rank:
        scratch /= f"rank-{ranks.rank}"
    with waiting("making the environments and the agent"):
        work = build_trainer(recipe, scratch, run.dataset, compute=compute, protocol=protocol)
    if warning := too_short(recipe):
        say(warning)
    # Rank 0 holds the folder for all.
    folder = contextlib.nullcontext() if ranks.rank else run.training(recipe, protocol)
    with stops_raise(), contextlib.closing(work), folder:
        session = Session(run, recipe, work, protocol, stopping)
        restored = session.go_on()
        with stopping:
            loggers = False if ranks.rank else run_loggers(run, wandb, restored)
            with session.saved_from_simulators(), wandb_run(wandb):
                fit(work, callbacks=session.callbacks(), loggers=loggers)
            session.save()
        if stopping.agreed():
            raise Stopped(stopping.signum, work.steps)
        result = session.finish() if not ranks.rank else None
        ranks.gathered("finished")
    if result is None:
        return run.result() or {}
    run.drop_scratch()
    return result
