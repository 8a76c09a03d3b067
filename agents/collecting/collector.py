"""A TorchRL collector over a `gymnasium.vector` environment.

Legend: N environments, T steps of each per batch.

The generic collectors step TensorDict environments, which costs a transform stack per vector step.
This one keeps NumPy arrays for the length of a rollout and wraps them once, in TorchRL's own layout
([N, T], `next`, `done` = `terminated` | `truncated`), so that a TorchRL collector can take its place.

Both autoreset modes of Gymnasium are right in the batch:

* SAME_STEP returns the new episode's first observation; the last one is in `infos["final_obs"]`.
* NEXT_STEP spends one step on the reset. That step is no transition: `("collector", "mask")` is False.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from tensordict import TensorDict, TensorDictBase
from torch import nn
from torchrl.collectors import BaseCollector

from catzoo.agents.collecting.finite import check_rollout
from catzoo.agents.collecting.simulators import check_own_states, restore_simulator, simulator_state

GOES_ON = "catzoo/goes_on"
"""Info [N] of environments in which a lost life ends an episode to learn from, but not the game."""
OPEN = ("_observation", "_resetting", "_score", "_discounted", "_length")
"""What the collector knows of the open episodes."""


class Episode(NamedTuple):
    """A finished training episode."""

    step: int
    """Agent steps collected when it ended."""
    score: float
    """Undiscounted, unclipped return."""
    length: int
    """Agent steps."""
    env: int
    """Index of the environment."""
    discounted: float
    """Return of the first state as the learner sees it: discounted, with clipped rewards."""


class VectorCollector(BaseCollector):
    """Collects rollouts of T steps from N environments with one policy.

    A rollout raises FloatingPointError if a reward or an observation is not finite in float32.

    Args:
        env: vector environment with discrete or continuous actions, autoreset SAME_STEP or NEXT_STEP.
        policy: observation [N, ...] to actions [N, ...] on the host; or to these and a mapping of more
            columns [N, ...] that the batch is to hold, such as `log_prob`.
        frames_per_batch: steps per batch over all environments, a multiple of N.
        total_frames: stop after so many steps; -1 never stops.
        device: where the policy lives.
        seed: seeds environment i with `seed + i`.
        gamma, reward_clip: for `Episode.discounted` only; the batch holds raw rewards.

    Raises:
        ValueError: a batch that is no multiple of N, or an environment without autoreset.
    """

    def __init__(
        self,
        env: VectorEnv,
        policy: nn.Module,
        *,
        frames_per_batch: int,
        total_frames: int = -1,
        device: torch.device | str = "cpu",
        seed: int = 0,
        gamma: float = 1.0,
        reward_clip: float | None = None,
    ) -> None:
        super().__init__()
        if frames_per_batch % env.num_envs or frames_per_batch <= 0:
            raise ValueError(
                f"frames_per_batch={frames_per_batch} must be a multiple of {env.num_envs} environments"
            )
        mode = env.metadata.get("autoreset_mode")
        if mode not in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP):
            raise ValueError(f"the environment's autoreset mode is {mode}; SAME_STEP or NEXT_STEP is needed")
        if not isinstance(env.single_action_space, gym.spaces.Discrete | gym.spaces.Box):
            raise ValueError(f"discrete or continuous actions are needed, got {env.single_action_space}")
        self.env, self.policy = env, policy
        self.same_step = mode == AutoresetMode.SAME_STEP
        self.frames_per_batch = self.requested_frames_per_batch = frames_per_batch
        self.total_frames = total_frames
        self.device = torch.device(device)
        self.gamma, self.reward_clip = gamma, math.inf if reward_clip is None else reward_clip
        self.frames = 0
        self.resumed = False
        """Whether the open episodes are those of a checkpoint."""
        self.finished: list[Episode] = []
        self._seed = seed
        self._observation: np.ndarray | None = None

    @property
    def num_envs(self) -> int:
        """N."""
        return self.env.num_envs

    def reset(self, seed: int | None = None) -> None:
        """Starts a new episode everywhere; whatever was open is dropped."""
        self._observation, _ = self.env.reset(seed=seed)
        self._resetting = np.zeros(self.num_envs, dtype=bool)
        self._score = np.zeros(self.num_envs)
        self._discounted = np.zeros(self.num_envs)
        self._length = np.zeros(self.num_envs, dtype=np.int64)

    def rollout(self) -> TensorDict:
        """One batch [N, T]; environments go on where the last one ended."""
        if self._observation is None:
            self.reset(self._seed)
            check_own_states(self.env)
        before, finished = self.frames, len(self.finished)
        try:
            arrays = self._played()
            check_rollout(self.env, arrays, before)
        except FloatingPointError:
            # The simulator is broken: neither this rollout nor the open episodes are part of a checkpoint.
            self._observation, self.frames = None, before
            del self.finished[finished:]
            raise
        return _to_tensordict(arrays)

    def _played(self) -> dict[str, np.ndarray]:
        """Time-major arrays of as many steps as a batch has."""
        steps = self.frames_per_batch // self.num_envs
        arrays = self._allocate(steps)
        for t in range(steps):
            arrays["observation"][t] = self._observation
            seen = torch.from_numpy(arrays["observation"][t]).to(self.device, non_blocking=True)
            chosen = self.policy(seen)
            action, more = chosen if isinstance(chosen, tuple) else (chosen, {})
            for name, column in more.items():
                if name not in arrays:
                    arrays[name] = np.empty((steps, *column.shape), column.dtype)
                arrays[name][t] = column
            try:
                self._step(arrays, t, action)
            except FloatingPointError as error:  # a simulator says so itself, and knows no steps
                raise FloatingPointError(f"{error}, at step {self.frames + self.num_envs:,}") from None
        return arrays

    def _allocate(self, time: int) -> dict[str, np.ndarray]:
        """Time-major arrays; one more observation than steps, since a step's end is the next one's start."""
        space, shape = self.env.single_observation_space, (time, self.num_envs)
        # float32 even where the environment says float64: replay and networks work in float32.
        dtype = np.float32 if space.dtype == np.float64 else space.dtype
        actions = self.env.single_action_space
        discrete = isinstance(actions, gym.spaces.Discrete)
        arrays = {
            "observation": np.empty((*shape, *space.shape), dtype),
            "next_observation": np.empty((*shape, *space.shape), dtype),
            "action": np.empty((*shape, *actions.shape), np.int64 if discrete else np.float32),
            "reward": np.empty(shape),
        }
        return arrays | {key: np.empty(shape, bool) for key in ("terminated", "truncated", "mask")}

    def _step(self, arrays: dict[str, np.ndarray], t: int, action: np.ndarray) -> None:
        """Makes step t with actions [N, ...]."""
        following, reward, terminated, truncated, infos = self.env.step(action)
        done = terminated | truncated
        arrays["action"][t] = action
        arrays["reward"][t] = reward
        arrays["terminated"][t] = terminated
        arrays["truncated"][t] = truncated
        arrays["mask"][t] = ~self._resetting
        arrays["next_observation"][t] = following
        if self.same_step and done.any():
            final = infos["final_obs"]
            for i in np.flatnonzero(done):
                arrays["next_observation"][t, i] = final[i]
        # Where a lost life is an end to learn from, the game goes on, and so does its score.
        self._count(reward, done & ~infos[GOES_ON] if GOES_ON in infos else done)
        self._resetting = np.zeros_like(done) if self.same_step else done
        self._observation = following

    def _count(self, reward: np.ndarray, done: np.ndarray) -> None:
        live = ~self._resetting
        self.frames += int(live.sum())
        self._score += np.where(live, reward, 0.0)
        clipped = np.clip(reward, -self.reward_clip, self.reward_clip)
        self._discounted += np.where(live, self.gamma**self._length * clipped, 0.0)
        self._length += live
        self._close(np.flatnonzero(done))

    def _close(self, indices: np.ndarray) -> None:
        """Books the episodes of some environments and starts their counts anew."""
        for i in indices:
            episode = Episode(
                self.frames, float(self._score[i]), int(self._length[i]), int(i), float(self._discounted[i])
            )
            self.finished.append(episode)
            self._score[i] = self._length[i] = self._discounted[i] = 0

    def cut_episodes(self, max_steps: int) -> None:
        """Counts episodes that have gone on for `max_steps` as finished; the environments do not notice."""
        self._close(np.flatnonzero(self._length >= max_steps))

    def take_finished(self) -> list[Episode]:
        """Episodes that ended since the last call."""
        finished, self.finished = self.finished, []
        return finished

    def iterator(self) -> Iterator[TensorDictBase]:
        """Batches [N, T] until `total_frames`."""
        while self.total_frames < 0 or self.frames < self.total_frames:
            yield self.rollout()

    def set_seed(self, seed: int, static_seed: bool = False) -> int:
        """Restarts every environment from `seed`; returns the seed that follows the last one used."""
        self._seed = seed
        self.reset(seed)
        return seed if static_seed else seed + self.num_envs

    def _maybe_fallback_update(self, policy_or_weights: Any = None, *, model_id: str | None = None) -> None:
        """`update_policy_weights_` for a local policy: copy into it, or nothing if it is the same module."""
        if policy_or_weights is None or policy_or_weights is self.policy:
            return
        if isinstance(policy_or_weights, nn.Module):
            policy_or_weights = policy_or_weights.state_dict()
        elif isinstance(policy_or_weights, TensorDictBase):
            policy_or_weights = policy_or_weights.flatten_keys(".").to_dict()
        own = self.policy.state_dict(keep_vars=True)
        with torch.no_grad():
            for name, value in policy_or_weights.items():
                if isinstance(value, torch.Tensor):
                    own[name].copy_(value)

    def state_dict(self) -> OrderedDict:
        """The counts, the exploration, and, where it can be told, the state of the open episodes."""
        state = OrderedDict(frames=self.frames, exploration=self.policy.get_extra_state(), open=None)
        simulator = None if self._observation is None else simulator_state(self.env)
        if simulator is not None:
            state["open"] = {"simulator": simulator, **{name: np.array(getattr(self, name)) for name in OPEN}}
        return state

    def load_state_dict(self, state_dict: OrderedDict) -> None:
        """Restores them; where episodes were not saved, new ones begin, with seeds not used before."""
        self.frames = state_dict["frames"]
        if "exploration" in state_dict:  # else other collectors saved it
            self.policy.set_extra_state(state_dict["exploration"])
        saved = state_dict.get("open")
        self.resumed = saved is not None
        self.reset(self._seed + self.num_envs + self.frames)
        if saved is None:
            return
        restore_simulator(self.env, saved["simulator"])
        for name in OPEN:
            setattr(self, name, np.array(saved[name]))

    def shutdown(
        self, timeout: float | None = None, close_env: bool = True, raise_on_error: bool = True
    ) -> None:
        """Closes the environments."""
        if close_env:
            self.env.close()


def _to_tensordict(arrays: dict[str, np.ndarray]) -> TensorDict:
    """[T, N] arrays as a TensorDict [N, T] in TorchRL's layout; but for the rewards, without a copy."""
    tensors = {key: torch.from_numpy(array).transpose(0, 1) for key, array in arrays.items()}
    batch = tensors["reward"].shape
    known = ("next_observation", "reward", "terminated", "truncated", "mask")
    following = {
        "observation": tensors["next_observation"],
        "reward": tensors["reward"].float().unsqueeze(-1),
        "terminated": tensors["terminated"].unsqueeze(-1),
        "truncated": tensors["truncated"].unsqueeze(-1),
        "done": (tensors["terminated"] | tensors["truncated"]).unsqueeze(-1),
    }
    return TensorDict(
        {
            **{name: tensor for name, tensor in tensors.items() if name not in known},
            "next": TensorDict(following, batch_size=batch),
            "collector": TensorDict({"mask": tensors["mask"]}, batch_size=batch),
        },
        batch_size=batch,
    )
