"""Stable-Baselines3 on a recipe: same network, batch, replay ratio, schedule and optimizer.

`sb3` is what its users get: one environment, an update every 1 / `updates_per_step` steps, or for PPO as many
environments as the recipe has. `sb3-vec` has as many as the recipe always, and updates in a burst as it.

What it does by itself stays: TD3's targets follow at every update of the policy alone; PPO clips one gradient
of policy and value together, where ours clips each.

On Atari DQN steps ALE's vector environment (with one or `num_envs` games) through a thin adapter, since
Stable-Baselines3's own wrappers need OpenCV, follow another protocol and are slower: the comparison is
one of training loops. Norm clipping is set to infinity where the recipe does not clip.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from stable_baselines3 import DQN, PPO, SAC, TD3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from catzoo.agents import LinearSchedule
from catzoo.hparams import Recipe
from catzoo.zoo.bench.loops.job import Greedy, Trained, burst, minibatches
from catzoo.zoo.environments.making import make_env
from catzoo.zoo.environments.registry import find_spec

CLASSES = {"dqn": DQN, "sac": SAC, "td3": TD3, "ppo": PPO}
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


def train(recipe: Recipe, *, vectorised: bool = False) -> Trained:
    """Trains on the recipe; the clock runs during `learn` only."""
    return learn(*make_model(recipe, vectorised=vectorised), recipe)


def learn(model: Any, envs: str, recipe: Recipe) -> Trained:
    """Trains a model of Stable-Baselines3 or of sbx."""
    start = time.perf_counter()
    model.learn(total_timesteps=recipe.steps)
    seconds = time.perf_counter() - start
    model.get_env().close()
    # PPO counts its epochs.
    updates = model._n_updates * (minibatches(recipe) if recipe.agent == "ppo" else 1)
    return Trained(seconds, model.num_timesteps, updates, greedy(model), envs)


def greedy(model: Any) -> Greedy:
    """What a model does when it does not explore."""
    space = model.action_space
    bounds = (space.low, space.high) if isinstance(space, gym.spaces.Box) else None
    return Greedy(lambda observation: model.predict(observation.numpy(), deterministic=True)[0], bounds)


def make_model(recipe: Any, *, vectorised: bool = False) -> tuple[Any, str]:
    """The untrained model and which environments it steps."""
    env, envs = sb3_environment(recipe, vectorised=vectorised)
    image = recipe.env.startswith("ALE/")
    policy = policy_of(recipe, {} if image else {"net_arch": list(recipe.network.hidden)}, ACTIVATIONS)
    settings = settings_of(recipe, env, vectorised=vectorised)
    if recipe.agent == "dqn":
        settings["max_grad_norm"] = max_grad_norm(recipe)
    model = CLASSES[recipe.agent](
        "CnnPolicy" if image else "MlpPolicy", env, policy_kwargs=policy, device="cpu", **settings
    )
    return scheduled(model, recipe), envs


def policy_of(recipe: Any, network: dict[str, Any], activations: Mapping[str, Any]) -> dict[str, Any]:
    """What a policy's constructor is told of the recipe."""
    told = {**network, "optimizer_kwargs": {"eps": recipe.optimizer.eps}}
    return told | ({"activation_fn": activations[recipe.network.activation]} if recipe.agent == "ppo" else {})


def settings_of(recipe: Any, env: Any, *, vectorised: bool) -> dict[str, Any]:
    """What the recipe says in the words of Stable-Baselines3, and of what is made after it."""
    optimizer = recipe.optimizer
    settings = {
        "learning_rate": (lambda remaining: optimizer.lr * remaining) if optimizer.anneal else optimizer.lr,
        "batch_size": recipe.batch_size,
        "gamma": recipe.gamma,
        "seed": recipe.seed,
    }
    if recipe.agent == "ppo":
        return settings | _rollout_settings(recipe)
    own = {"dqn": _dqn_settings, "sac": _sac_settings, "td3": _td3_settings}[recipe.agent]
    return settings | _replay_settings(recipe, vectorised) | own(recipe, env)


def _rollout_settings(recipe: Any) -> dict[str, Any]:
    return {
        "n_steps": recipe.rollout_length,
        "n_epochs": recipe.epochs,
        "gae_lambda": recipe.gae_lambda,
        "clip_range": recipe.clip,
        "ent_coef": recipe.entropy_coef,
        "vf_coef": recipe.value_coef,
        "max_grad_norm": max_grad_norm(recipe),
    }


def _replay_settings(recipe: Any, vectorised: bool) -> dict[str, Any]:
    every, updates = _one_env_ratio(recipe.updates_per_step)
    if vectorised:
        every, updates = recipe.rollout_length, burst(recipe)[1]
    return {
        "buffer_size": recipe.replay.capacity,
        "learning_starts": recipe.learning_starts,
        "train_freq": every,
        "gradient_steps": updates,
        "n_steps": recipe.n_step,
    }


def _dqn_settings(recipe: Any, env: Any) -> dict[str, Any]:
    # In steps there, in updates here.
    return {"target_update_interval": round(recipe.target_update_every / recipe.updates_per_step)}


def _sac_settings(recipe: Any, env: Any) -> dict[str, Any]:
    target = "auto" if recipe.target_entropy is None else recipe.target_entropy
    return {"tau": recipe.tau, "ent_coef": f"auto_{recipe.alpha:g}", "target_entropy": target}


def _td3_settings(recipe: Any, env: Any) -> dict[str, Any]:
    shape = env.action_space.shape
    return {
        "tau": recipe.tau,
        "policy_delay": recipe.policy_delay,
        "action_noise": NormalActionNoise(np.zeros(shape), np.full(shape, recipe.noise)),
        "target_policy_noise": recipe.smoothing,
        "target_noise_clip": recipe.smoothing_clip,
    }


def max_grad_norm(recipe: Recipe) -> float:
    """The norm that gradients are clipped to."""
    return recipe.optimizer.max_grad_norm or math.inf


def scheduled(model: Any, recipe: Any) -> Any:
    """The model, DQN's with the recipe's epsilon by the share of the run that remains.

    Its own schedule decays from the first step of the run, the recipe's from the first update.
    """
    if recipe.agent == "dqn":
        exploration = recipe.exploration
        schedule = LinearSchedule(
            exploration.start, exploration.end, recipe.learning_starts, exploration.decay_steps
        )
        model.exploration_schedule = lambda remaining: schedule(round((1 - remaining) * recipe.steps))
    return model


def sb3_environment(recipe: Any, *, vectorised: bool) -> tuple[gym.Env | VecEnv, str]:
    """The environments that the recipe asks for, and what they are called."""
    num_envs = recipe.num_envs if vectorised or recipe.agent == "ppo" else 1
    if recipe.env.startswith("ALE/"):
        env = make_env(recipe.env, num_envs, recipe.env_options)
        return SteppedByBaselines(env, recipe.reward_clip), f"{num_envs} x ALE vector environment, adapter"
    name = find_spec(recipe.env).id
    if num_envs == 1:
        return gym.make(name, **recipe.env_options), "1 x gymnasium.make"
    return make_vec_env(name, num_envs, env_kwargs=recipe.env_options), f"{num_envs} x DummyVecEnv"


def _one_env_ratio(updates_per_step: float) -> tuple[int, int]:
    """Steps between bursts and updates per burst, for one environment."""
    if updates_per_step >= 1:
        return 1, round(updates_per_step)
    return round(1 / updates_per_step), 1


class SteppedByBaselines(VecEnv):
    """A Gymnasium vector environment with SAME_STEP autoreset as a Stable-Baselines3 one.

    Args:
        env: the environment.
        reward_clip: clips rewards to ± this, or None.
    """

    def __init__(self, env: VectorEnv, reward_clip: float | None = None) -> None:
        self.env, self.reward_clip = env, reward_clip
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> np.ndarray:
        """First observations [N, ...]."""
        return self.env.reset(seed=self._seeds[0])[0]

    def step_async(self, actions: np.ndarray) -> None:
        """Keeps the actions [N] for `step_wait`."""
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Steps; an episode's last observation is in its info, as Stable-Baselines3 expects."""
        observation, reward, terminated, truncated, infos = self.env.step(self.actions)
        done = terminated | truncated
        if self.reward_clip is not None:
            reward = np.clip(reward, -self.reward_clip, self.reward_clip)
        per_env: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(done):
            per_env[i] = {
                "terminal_observation": infos["final_obs"][i],
                "TimeLimit.truncated": bool(truncated[i] and not terminated[i]),
            }
        return observation, reward.astype(np.float32), done, per_env

    def close(self) -> None:
        """Closes the environments."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The same attribute for every environment; None where there is none."""
        return [getattr(self.env, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Not needed for training."""
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Not needed for training."""
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """No wrapper, anywhere."""
        return [False] * self.num_envs
