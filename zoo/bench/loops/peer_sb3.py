"""Stable-Baselines3's DQN on a recipe: same network, batch, replay ratio, schedule and optimizer.

`sb3` is what its users get: one environment, an update every 1 / `updates_per_step` steps.
`sb3-vec` has as many environments and updates in a burst as the recipe.

On Atari both step ALE's vector environment (with one or `num_envs` games) through a thin adapter, since
Stable-Baselines3's own wrappers need OpenCV, follow another protocol and are slower: the comparison is
one of training loops. Its norm clipping is set to infinity where the recipe does not clip.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from catzoo.agents import LinearSchedule
from catzoo.hparams import Recipe
from catzoo.zoo.bench.loops.job import Greedy, Trained, burst
from catzoo.zoo.environments.making import make_env


def train(recipe: Recipe, *, vectorised: bool = False) -> Trained:
    """Trains on the recipe; the clock runs during `learn` only."""
    model, envs = make_model(recipe, vectorised=vectorised)
    start = time.perf_counter()
    model.learn(total_timesteps=recipe.steps)
    seconds = time.perf_counter() - start
    model.get_env().close()
    return Trained(seconds, model.num_timesteps, model._n_updates, Greedy(model.policy.q_net), envs)


def make_model(recipe: Recipe, *, vectorised: bool = False) -> tuple[DQN, str]:
    """The untrained model and which environments it steps."""
    env, envs = sb3_environment(recipe, recipe.num_envs if vectorised else 1)
    image = recipe.env.startswith("ALE/")
    policy_kwargs: dict[str, Any] = {"optimizer_kwargs": {"eps": recipe.optimizer.eps}}
    if not image:
        policy_kwargs["net_arch"] = list(recipe.network.hidden)
    model = DQN(
        "CnnPolicy" if image else "MlpPolicy",
        env,
        max_grad_norm=recipe.optimizer.max_grad_norm or float("inf"),
        policy_kwargs=policy_kwargs,
        device="cpu",
        **settings_of(recipe, vectorised=vectorised),
    )
    model.exploration_schedule = epsilon_of(recipe)
    return model, envs


def settings_of(recipe: Recipe, *, vectorised: bool) -> dict[str, Any]:
    """What the recipe says in the words of Stable-Baselines3, and of what is made after it."""
    every, updates = _one_env_ratio(recipe.updates_per_step)
    if vectorised:
        every, updates = recipe.rollout_length, burst(recipe)[1]
    return {
        "learning_rate": recipe.optimizer.lr,
        "buffer_size": recipe.replay.capacity,
        "learning_starts": recipe.learning_starts,
        "batch_size": recipe.batch_size,
        "gamma": recipe.gamma,
        "train_freq": every,
        "gradient_steps": updates,
        "n_steps": recipe.n_step,
        # In steps there, in updates here.
        "target_update_interval": round(recipe.target_update_every / recipe.updates_per_step),
        "seed": recipe.seed,
    }


def epsilon_of(recipe: Recipe) -> Callable[[float], float]:
    """Epsilon by the share of the run that remains.

    Its own schedule decays from the first step of the run, the recipe's from the first update.
    """
    exploration = recipe.exploration
    schedule = LinearSchedule(
        exploration.start, exploration.end, recipe.learning_starts, exploration.decay_steps
    )
    return lambda remaining: schedule(round((1 - remaining) * recipe.steps))


def sb3_environment(recipe: Recipe, num_envs: int) -> tuple[gym.Env | VecEnv, str]:
    """The environments that the recipe asks for, and what they are called."""
    if recipe.env.startswith("ALE/"):
        env = make_env(recipe.env, num_envs, recipe.env_options)
        return SteppedByBaselines(env, recipe.reward_clip), f"{num_envs} x ALE vector environment, adapter"
    if num_envs == 1:
        return gym.make(recipe.env, **recipe.env_options), "1 x gymnasium.make"
    env = make_vec_env(recipe.env, num_envs, env_kwargs=recipe.env_options)
    return env, f"{num_envs} x DummyVecEnv"


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
