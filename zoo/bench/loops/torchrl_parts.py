"""What TorchRL's sides have in common, whatever the agent."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import DoubleToFloat, EnvBase, GymEnv, SerialEnv, TransformedEnv
from torchrl.modules import MLP

from catzoo.zoo.environments.registry import find_spec


def make_torchrl_env(recipe: Any) -> tuple[EnvBase, str]:
    """The environment that the recipe asks for, seeded, and what it is called."""
    name, rollouts = find_spec(recipe.env).id, recipe.agent == "ppo"

    def one() -> GymEnv:
        # An action as a number is what PPO's policy chooses; DQN's own scripts have it one-hot.
        return GymEnv(name, device="cpu", categorical_action_encoding=rollouts, **recipe.env_options)

    env = SerialEnv(recipe.num_envs, one) if rollouts else one()
    if env.observation_spec["observation"].dtype == torch.float64:  # MuJoCo's, where networks are of float32
        env = TransformedEnv(env, DoubleToFloat())
    env.set_seed(recipe.seed)
    return env, f"{recipe.num_envs} x GymEnv in SerialEnv" if rollouts else "1 x GymEnv"


def sizes(env: EnvBase) -> tuple[int, int]:
    """Numbers of an observation, and of an action or of the actions to choose from."""
    spec = env.action_spec_unbatched
    return env.observation_spec["observation"].shape[-1], spec.shape[-1] if spec.shape else spec.n


def perceptron(recipe: Any, inputs: int, outputs: int, activation: type[nn.Module] = nn.ReLU) -> MLP:
    """The recipe's hidden layers, and a linear one."""
    hidden = list(recipe.network.hidden)
    return MLP(in_features=inputs, out_features=outputs, num_cells=hidden, activation_class=activation)


def adam(recipe: Any, parameters: Iterable[nn.Parameter]) -> torch.optim.Adam:
    """The recipe's optimizer."""
    return torch.optim.Adam(parameters, lr=recipe.optimizer.lr, eps=recipe.optimizer.eps)


def collector(env: EnvBase, policy: nn.Module, frames: int, random_frames: int = 0) -> Collector:
    """What plays `frames` steps at a time, the first `random_frames` of all at random."""
    return Collector(
        env, policy, frames_per_batch=frames, total_frames=-1, init_random_frames=random_frames, device="cpu"
    )


def replay(recipe: Any) -> TensorDictReplayBuffer:
    """Uniform replay of the recipe's capacity and batch."""
    storage = LazyTensorStorage(recipe.replay.capacity)
    return TensorDictReplayBuffer(storage=storage, batch_size=recipe.batch_size)


def make(kind: type, recipe: Any, **settings: Any) -> Any:
    """A trainer of a kind, for the recipe's steps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls itself experimental
        return kind(
            total_frames=recipe.steps,
            frame_skip=1,
            clip_norm=recipe.optimizer.max_grad_norm,
            progress_bar=False,
            enable_logging=False,
            seed=recipe.seed,
            **settings,
        )
