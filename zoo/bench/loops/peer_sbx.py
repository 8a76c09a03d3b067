"""sbx (Stable-Baselines3 in JAX) on a recipe: what `peer_sb3` says of its sides holds here too.

DQN's network has layers of one width: here that of the same number of weights as the recipe's two. DQN does
not clip gradients; PPO clips those of policy and value each by itself, as ours does.
"""

from __future__ import annotations

import math
from typing import Any

from flax import linen
from sbx import DQN, PPO, SAC, TD3

from catzoo.hparams import Recipe
from catzoo.zoo.bench.loops.job import Trained
from catzoo.zoo.bench.loops.peer_sb3 import learn, policy_of, sb3_environment, scheduled, settings_of

CLASSES = {"dqn": DQN, "sac": SAC, "td3": TD3, "ppo": PPO}
ACTIVATIONS = {"relu": linen.relu, "tanh": linen.tanh}


def train(recipe: Recipe, *, vectorised: bool = False) -> Trained:
    """Trains on the recipe; the clock runs during `learn` only, compilation included as a user has it."""
    return learn(*make_model(recipe, vectorised=vectorised), recipe)


def make_model(recipe: Any, *, vectorised: bool = False) -> tuple[Any, str]:
    """The untrained model and which environments it steps."""
    env, envs = sb3_environment(recipe, vectorised=vectorised)
    hidden = list(recipe.network.hidden)
    widths = [round(math.sqrt(math.prod(hidden)))] if recipe.agent == "dqn" else hidden
    model = CLASSES[recipe.agent](
        "MlpPolicy",
        env,
        policy_kwargs=policy_of(recipe, {"net_arch": widths}, ACTIVATIONS),
        **settings_of(recipe, env, vectorised=vectorised),
    )
    return scheduled(model, recipe), envs
