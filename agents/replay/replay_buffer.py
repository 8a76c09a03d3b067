"""The replay that agents use: frames, n-step returns, TorchRL's buffer and priorities behind one door.

A rollout goes through the frame store (observations become numbers), the n-step builder (steps become
transitions) and into TorchRL's `ReplayBuffer`, whose storage assembles frames again and whose sampler is
uniform or prioritised.

Legend: N environments, T steps, B batch, K batches.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.data import LazyMemmapStorage, LazyTensorStorage, ReplayBuffer

from catzoo.agents.learning.batches import Transitions
from catzoo.agents.learning.data_parallel import ALONE, Ranks
from catzoo.agents.replay.frames import FrameStorage, FrameStore, ring_size
from catzoo.agents.replay.n_step import NStep
from catzoo.agents.replay.prioritized import Priorities, Prioritized
from catzoo.agents.replay.records import Records
from catzoo.agents.replay.uniform import Uniform
from catzoo.agents.replay.window import Window

STORES = ("whole", "frames")
PLACES = ("memory", "disk", "device")


class Replay:
    """Transitions that can be sampled; the oldest make room for new ones.

    With `store="frames"` the frames run out before `capacity` where episodes are very short; the oldest
    transitions are then no longer sampled, and `len` is what is left.

    Args:
        capacity: transitions kept.
        n_step, gamma, reward_clip: of the returns, as `NStep` says.
        store: `whole` keeps both observations of each transition, `frames` every frame of a stack once.
        place: `memory`, `disk` (memory-mapped files in `folder`; with `frames` the frames alone, the rest is
            small), or `device`, from where samples need no copy.
        device: the learner's, for `place="device"`.
        folder: for `place="disk"`; what is in it is overwritten.
        priorities: None samples uniformly.
        observation_shape, action_shape: what a saved replay must hold; None takes any observation.
        ranks: the learners of whose batches a sample is a part.

    Raises:
        ValueError: an argument that is not one of these.
    """

    def __init__(
        self,
        capacity: int,
        *,
        n_step: int = 1,
        gamma: float = 0.99,
        reward_clip: float | None = None,
        store: str = "whole",
        place: str = "memory",
        device: torch.device | str = "cpu",
        folder: Path | str | None = None,
        priorities: Priorities | None = None,
        observation_shape: tuple[int, ...] | None = None,
        action_shape: tuple[int, ...] = (),
        ranks: Ranks = ALONE,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity={capacity} must be at least 1")
        for name, value, allowed in (("store", store, STORES), ("place", place, PLACES)):
            if value not in allowed:
                raise ValueError(f"{name}={value!r} must be one of {', '.join(allowed)}")
        if place == "disk" and folder is None:
            raise ValueError("place='disk' needs a folder")
        self.capacity, self.store, self.place = capacity, store, place
        self.observation_shape, self.ranks = observation_shape, ranks
        self.device = torch.device(device if place == "device" else "cpu")
        self.n_step = NStep(n_step, gamma, reward_clip)
        self.window = Window(capacity)
        scratch = Path(folder) if place == "disk" and folder is not None else None
        self.frames = FrameStore(ring_size(capacity), self.device, scratch) if store == "frames" else None
        self.sampler = Uniform() if priorities is None else Prioritized(capacity, priorities, self.device)
        self.buffer = ReplayBuffer(storage=self._make_storage(scratch), sampler=self.sampler)
        self.records = Records(
            self.buffer, capacity, None if self.frames else observation_shape, action_shape
        )

    def _make_storage(self, scratch: Path | None) -> LazyTensorStorage:
        if self.frames is not None:
            return FrameStorage(self.capacity, self.frames, device=self.device)
        if scratch is not None:
            return LazyMemmapStorage(self.capacity, scratch_dir=scratch, existsok=True)
        return LazyTensorStorage(self.capacity, device=self.device)

    @property
    def prioritized(self) -> bool:
        """Whether samples are drawn by priority."""
        return isinstance(self.sampler, Prioritized)

    def __len__(self) -> int:
        """Transitions that can be sampled."""
        return len(self.buffer) if self.frames is None else len(self.window)

    def __getitem__(self, index: Any) -> TensorDictBase:
        """Stored transitions by slot, with their observations."""
        return self.buffer[index]

    def add(self, rollout: TensorDictBase) -> None:
        """Stores a rollout [N, T] in TorchRL's layout, on the host.

        Raises:
            ValueError: `store="frames"`, and observations that are not frame stacks.
        """
        if self.frames is not None:
            rollout = self.frames.add(rollout)
        transitions = self.n_step(rollout)[-self.capacity :]
        if len(transitions):
            self.records.extend(transitions.to(self.device))
        if self.frames is not None:
            needs = self.frames.oldest_of(transitions["observation"].numpy())
            self.window.extend(needs)
            self._expire(self.frames)

    def _expire(self, frames: FrameStore) -> None:
        """Leaves out the transitions whose frames are overwritten."""
        dead = self.window.expire(frames.count - frames.size)
        if isinstance(self.sampler, Prioritized) and len(dead):
            self.sampler.forget(torch.from_numpy(dead))
        self._tell_sampler()

    def _tell_sampler(self) -> None:
        self.sampler.live = len(self.window)
        if isinstance(self.sampler, Uniform):
            self.sampler.end = self.window.count % self.capacity

    def sample(
        self, batch_size: int, count: int = 1, device: torch.device | str | None = None
    ) -> tuple[Transitions, Tensor]:
        """K = `count` batches in one call, which costs hardly more than one.

        Importance weights are divided by the largest of their batch (Schaul et al. 2016, section 3.4), which
        of many learners is that of all ranks' parts: each draws by the priorities of its own n transitions,
        w = (n P)^-beta, and with R replays of n that is the joint batch's (R n P / R)^-beta.

        Returns:
            a `Transitions` of [K, B, ...] on `device`, and the slots [K, B] for `update_priority`.

        Raises:
            RuntimeError: nothing is stored.
        """
        device = self.device if device is None else torch.device(device)
        data, info = self.buffer.sample(batch_size * count, return_info=True)
        shape = (count, batch_size)
        columns = {
            name: data[name].to(device, non_blocking=True).unflatten(0, shape)
            for name in Transitions._fields
            if name not in Transitions._field_defaults
        }
        weight = info.get("priority_weight")
        if weight is not None:
            weight_KB = weight.view(shape)
            weight_KB = (weight_KB / self.ranks.largest(weight_KB.amax(1, keepdim=True))).float()
            columns["weight"] = weight_KB.to(device, non_blocking=True)
        return Transitions(**columns), info["index"].view(shape)

    def update_priority(self, index: Tensor, td_error: Tensor) -> None:
        """Sets the priorities of slots [K, B] from their TD errors [K, B]; does nothing if uniform."""
        if isinstance(self.sampler, Prioritized):
            self.buffer.update_priority(index.reshape(-1), td_error.reshape(-1))

    def set_beta(self, beta: float) -> None:
        """Sets how much of the bias of prioritised sampling is corrected, 0 to 1."""
        if isinstance(self.sampler, Prioritized):
            self.sampler.beta = beta

    def cut(self) -> None:
        """Ends what is open: steps that wait are marked truncated, and new episodes follow."""
        self.n_step.cut()
        if self.frames is not None:
            self.frames.cut()

    def rings(self) -> dict[str, Any]:
        """What grows row by row, by name; the rest is in `state_dict`."""
        records = {"records": self.records}
        return records if self.frames is None else {"frames": self.frames, **records}

    def state_dict(self) -> dict[str, Any]:
        """Everything but the rows of `rings`."""
        filled = min(self.records.count, self.capacity)
        return {
            "kind": self._kind(),
            "count": self.records.count,
            "first": self.window.first,
            "needs": self.window.needs[:filled],
            "waiting": self.n_step.state_dict(),
            "frames": None if self.frames is None else self.frames.state_dict(),
            "sampler": self.sampler.state_dict() if isinstance(self.sampler, Prioritized) else None,
        }

    def restore(self, state: dict[str, Any], fill: Callable[[], None]) -> None:
        """Restores `state_dict`, and the rows of `rings`, which `fill` puts there.

        Raises:
            ValueError: it is of another kind of replay.
        """
        for name, own in self._kind().items():
            if state["kind"][name] != own:
                raise ValueError(f"the saved replay has {name}={state['kind'][name]}, this one {name}={own}")
        self.n_step.load_state_dict(state["waiting"])
        self.records.begin(state["count"])
        if self.frames is not None:
            shape = state["frames"]["shape"]
            if self.observation_shape is not None and shape not in (None, tuple(self.observation_shape)):
                raise ValueError(
                    f"the saved frames are of shape {shape}, not {tuple(self.observation_shape)}"
                )
            self.frames.load_state_dict(state["frames"])
            self.window.count, self.window.first = state["count"], state["first"]
            self.window.needs[: len(state["needs"])] = state["needs"]
        fill()
        if isinstance(self.sampler, Prioritized):
            self.sampler.load_state_dict(state["sampler"])  # writing the rows has set priorities too
        if self.frames is not None:
            self._tell_sampler()

    def _kind(self) -> dict[str, Any]:
        """What a saved replay must have in common with the one that reads it."""
        return {
            "capacity": self.capacity,
            "store": self.store,
            "n_step": self.n_step.n,
            "prioritized": self.prioritized,
        }
