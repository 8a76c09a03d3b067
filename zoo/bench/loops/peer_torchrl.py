"""TorchRL's own trainers on a recipe: same network, batch, replay ratio, schedule and optimizer.

Set up as in its own scripts: `GymEnv`, its `Collector`, replay buffer, loss and target updater, bursts as
long as the recipe's; PPO steps as many environments as the recipe has, in a `SerialEnv`. In its favour: no
logging hooks.

What it does by itself stays: SAC's losses go through one optimizer and one backward pass; PPO estimates its
advantages anew for every epoch, and clips one gradient of policy and value.

Vector observations only: its Atari transforms need torchvision.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict
from torch import Tensor, nn
from torchrl.data import Bounded, OneHot
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, set_exploration_type

from catzoo.hparams import Recipe
from catzoo.zoo.bench.loops.job import Greedy, Trained
from catzoo.zoo.bench.loops.torchrl_continuous import sac_trainer, td3_trainer
from catzoo.zoo.bench.loops.torchrl_dqn import dqn_trainer
from catzoo.zoo.bench.loops.torchrl_parts import make_torchrl_env
from catzoo.zoo.bench.loops.torchrl_ppo import ppo_trainer

TRAINERS: dict[str, Callable[..., tuple[Any, nn.Module]]] = {
    "dqn": dqn_trainer,
    "sac": sac_trainer,
    "td3": td3_trainer,
    "ppo": ppo_trainer,
}


def train(recipe: Recipe) -> Trained:
    """Trains on the recipe; the clock runs during `train` only."""
    trainer, policy, envs = make_trainer(recipe)
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    return Trained(seconds, trainer.collected_frames, updates_of(trainer), policy, envs)


def make_trainer(recipe: Recipe) -> tuple[Any, Greedy, str]:
    """The trainer before its first step, the greedy policy of what it trains, and its environments."""
    torch.manual_seed(recipe.seed)
    env, envs = make_torchrl_env(recipe)
    trainer, actor = TRAINERS[recipe.agent](recipe, env)
    return trainer, greedy(actor, env), envs


def greedy(actor: nn.Module, env: EnvBase) -> Greedy:
    """What an actor does when it does not explore."""
    spec = env.action_spec_unbatched

    @torch.no_grad()
    def act(observation: Tensor) -> np.ndarray:
        with set_exploration_type(ExplorationType.DETERMINISTIC):
            action = actor(TensorDict({"observation": observation}, [len(observation)]))["action"]
        return (action.argmax(-1) if isinstance(spec, OneHot) else action).numpy()

    bounds = (spec.space.low.numpy(), spec.space.high.numpy()) if isinstance(spec, Bounded) else None
    return Greedy(act, bounds)


def updates_of(trainer: Any) -> int:
    """How many updates were made, by Adam: the trainer counts one too many for every pass over a rollout."""
    optimizer = trainer.optimizer or trainer.optimization_stepper.optimizer_critic
    return int(max((state["step"] for state in optimizer.state.values()), default=0))
