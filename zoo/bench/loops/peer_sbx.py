"""sbx's DQN (Stable-Baselines3 in JAX) on a recipe: what `peer_sb3` says of its sides holds here too.

Its network has layers of one width: here that of the same number of weights as the recipe's two. It does not
clip gradients.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from sbx import DQN
from torch import Tensor, nn

from catzoo.hparams import Recipe
from catzoo.zoo.bench.loops.job import Greedy, Trained
from catzoo.zoo.bench.loops.peer_sb3 import epsilon_of, sb3_environment, settings_of


def train(recipe: Recipe, *, vectorised: bool = False) -> Trained:
    """Trains on the recipe; the clock runs during `learn` only, compilation included as a user has it."""
    model, envs = make_model(recipe, vectorised=vectorised)
    start = time.perf_counter()
    model.learn(total_timesteps=recipe.steps)
    seconds = time.perf_counter() - start
    model.get_env().close()
    return Trained(seconds, model.num_timesteps, model._n_updates, Greedy(Values(model)), envs)


def make_model(recipe: Recipe, *, vectorised: bool = False) -> tuple[DQN, str]:
    """The untrained model and which environments it steps."""
    env, envs = sb3_environment(recipe, recipe.num_envs if vectorised else 1)
    width = round(math.sqrt(math.prod(recipe.network.hidden)))
    policy = {"net_arch": [width], "optimizer_kwargs": {"eps": recipe.optimizer.eps}}
    model = DQN("MlpPolicy", env, policy_kwargs=policy, **settings_of(recipe, vectorised=vectorised))
    model.exploration_schedule = epsilon_of(recipe)
    return model, envs


class Values(nn.Module):
    """The values of a trained model as a module of torch.

    Args:
        model: sbx's.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.state = model.policy.qf_state

    def forward(self, observation: Tensor) -> Tensor:
        """Observation [N, ...] to values [N, A]."""
        return torch.as_tensor(np.array(self.state.apply_fn(self.state.params, observation.numpy())))
