"""From a recipe to live objects. The one place that knows which class each key stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from gymnasium.vector import VectorEnv

from catzoo.agents import (
    CQL,
    DQN,
    Agent,
    LinearSchedule,
    OfflineAgent,
    OffPolicyAgent,
    Priorities,
    TrainingOptions,
)
from catzoo.agents.from_recipe import build_network, build_value_loss
from catzoo.agents.registry import AGENTS
from catzoo.hparams import Recipe, RecipeError
from catzoo.zoo.environments.making import make_env, stream_seed
from catzoo.zoo.environments.names import canonical
from catzoo.zoo.training.compute import build_device, overlaps, wants_bf16
from catzoo.zoo.training.datasets import make_recorder
from catzoo.zoo.training.memory_checks import (
    ACTING,
    LEARNING,
    check_dataset,
    check_network,
    check_replay,
    check_rollout,
)

TAKES = {DQN: ("double",), CQL: ("double", "cql_weight", "bootstrap")}
"""Keys of the recipe that a class takes beside its options."""


def build_env(recipe: Recipe, num_envs: int, *, training: bool = False, **render: Any) -> VectorEnv:
    """The recipe's environment, `num_envs` times; `training` ends episodes where the recipe wants it."""
    options = dict(recipe.env_options)
    if training and recipe.life_loss_ends:
        if not recipe.env.startswith("ALE/"):
            raise RecipeError(f"life_loss_ends=true: {recipe.env} has no lives to lose, only ALE/ has")
        options["life_loss_info"] = True
    return make_env(recipe.env, num_envs, options, **render)


def build_agent(recipe: Recipe, env: VectorEnv, folder: Path | None = None, *, copies: int = ACTING) -> Agent:
    """The agent for an environment's spaces, on the recipe's device, ready to act but not to learn.

    Args:
        recipe: what to build.
        env: with the spaces.
        folder: for a replay on disk.
        copies: of the network's size, what the memory must have room for.

    Raises:
        RecipeError: anything that does not fit together, or a network that does not fit into memory.
    """
    if recipe.agent not in AGENTS:
        raise RecipeError(f"unknown agent {recipe.agent!r:.80}: the zoo has {', '.join(AGENTS)}")
    torch.manual_seed(recipe.seed)
    device = build_device(recipe)
    if recipe.compute.threads:
        torch.set_num_threads(recipe.compute.threads)
    value_loss = build_value_loss(recipe)
    check_network(recipe, env, value_loss, copies)
    network = build_network(recipe, env, value_loss)
    if recipe.random_shift and (not network.is_image or network.move_channels):
        shape = list(env.single_observation_space.shape)
        raise RecipeError(
            f"random_shift={recipe.random_shift} needs images with their channels first, such as Atari's; "
            f"{recipe.env} has {shape}"
        )
    kind = AGENTS[recipe.agent]
    options = {key: getattr(recipe, key) for key in TAKES.get(kind, ())}
    return kind(network, value_loss, training_options(recipe, folder), **options).to(device)


def training_options(recipe: Recipe, folder: Path | None = None) -> TrainingOptions:
    """The learning half of a recipe, in the agents' own words; replay on disk lies in `folder`."""
    exploration, replay = recipe.exploration, recipe.replay
    return TrainingOptions(
        gamma=recipe.gamma,
        n_step=recipe.n_step,
        q_lambda=recipe.q_lambda,
        epochs=recipe.epochs,
        reward_clip=recipe.reward_clip,
        learning_starts=recipe.learning_starts,
        updates_per_step=recipe.updates_per_step,
        batch_size=recipe.batch_size,
        random_shift=recipe.random_shift,
        reset_every=recipe.reset_every,
        reset_keep=recipe.reset_keep,
        anneal=recipe.optimizer.anneal,
        overlap=overlaps(recipe),
        replay={
            "capacity": replay.capacity,
            "store": replay.store,
            "place": replay.place,
            "folder": folder,
        },
        priorities=Priorities(alpha=replay.alpha, beta=replay.beta) if replay.prioritized else None,
        target_update_every=recipe.target_update_every,
        log_every=recipe.log_every,
        exploration=LinearSchedule(
            exploration.start, exploration.end, recipe.learning_starts, exploration.decay_steps
        ),
        learner={
            "lr": recipe.optimizer.lr,
            "eps": recipe.optimizer.eps,
            "max_grad_norm": recipe.optimizer.max_grad_norm,
            "autocast": torch.bfloat16 if wants_bf16(recipe) else None,
            "compile": recipe.compute.compile,
            "cuda_graph": recipe.compute.cuda_graph,
        },
        dataset=Path(recipe.dataset) if recipe.dataset else None,
        reward_noise=recipe.reward_noise,
    )


def build_trainer(recipe: Recipe, folder: Path | None = None, dataset: Path | None = None) -> Agent:
    """The agent with its environments, collector, replay and learner: `agent.iterate()` trains.

    Args:
        recipe: what to build.
        folder: for a replay on disk.
        dataset: where to record what the recipe wants recorded; None: nowhere.

    Raises:
        RecipeError: anything that does not fit together, or a replay larger than the memory.
    """
    offline = issubclass(AGENTS.get(recipe.agent, Agent), OfflineAgent)  # type: ignore[arg-type]
    env = build_env(recipe, 1 if offline else recipe.num_envs, training=True)
    try:
        agent = build_agent(recipe, env, folder, copies=LEARNING)
        if offline:
            check_dataset(recipe)
        else:
            check_rollout(recipe, env)
            if isinstance(agent, OffPolicyAgent):
                check_replay(recipe, env, folder)
        recorder = make_recorder(recipe, env, dataset) if recipe.record and dataset else None
        agent.total_steps = recipe.steps
        agent.attach(
            env,
            rollout_length=recipe.rollout_length,
            seed=stream_seed(recipe.seed, f"train {canonical(recipe.env)}"),
            device=next(agent.network.parameters()).device,
        )
        agent.recorder = recorder
    except RecipeError:
        raise
    except (ValueError, TypeError, RuntimeError, MemoryError) as error:
        raise RecipeError(f"{recipe.env}: {' '.join(str(error).split())[:200]}") from None
    return agent
