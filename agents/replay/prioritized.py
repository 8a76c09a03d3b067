"""Proportional prioritised replay (Schaul et al. 2016, arXiv 1511.05952, section 3) as a TorchRL sampler.

TorchRL's own needs a C++ extension that loads with one release of torch only. This one is torch alone, lives
on any device and never waits for a GPU. Deviations from the paper: `eps` is added before the exponent, as in
TorchRL; importance weights are returned raw, so that whoever knows the batch can divide by its largest.

Legend: S samples.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict
from torch import Tensor
from torchrl.data.replay_buffers.samplers import Sampler
from torchrl.data.replay_buffers.storages import Storage

from catzoo.agents.replay.sum_tree import HostSumTree, make_tree

TENSORS = ("leaves", "sums", "max_priority")
"""Of a sampler's state; the rest are numbers."""


@dataclass(frozen=True)
class Priorities:
    """How transitions are prioritised: p = (|TD error| + eps)^alpha, weight = (N P)^-beta."""

    alpha: float = 0.5
    """0 is uniform, 1 proportional."""
    beta: float = 0.4
    """0 corrects nothing, 1 all of the bias."""
    eps: float = 1e-3
    """Keeps a transition without error alive, in units of the TD error."""

    def __post_init__(self) -> None:
        if not (self.alpha >= 0 and self.beta >= 0):
            raise ValueError(f"alpha={self.alpha} and beta={self.beta} must be at least 0")
        # A priority that underflows would be one that is never sampled again.
        if not self.eps > 0 or not self.eps**self.alpha > 1e-100:
            raise ValueError(f"eps={self.eps} must be above 0, and eps^alpha above 1e-100")


class Prioritized(Sampler):
    """Samples in proportion to priority; a new transition gets the largest priority so far.

    Args:
        capacity: of the storage.
        priorities: exponents; `beta` is an attribute that may change.
        device: where priorities live.
    """

    def __init__(
        self, capacity: int, priorities: Priorities | None = None, device: torch.device | str = "cpu"
    ) -> None:
        super().__init__()
        priorities = priorities or Priorities()
        self.capacity, self.device = capacity, torch.device(device)
        self.alpha, self.beta, self.eps = priorities.alpha, priorities.beta, priorities.eps
        self.live: int | None = None
        """Transitions that can be sampled, for N; None: the storage's length."""
        self._empty()

    def _empty(self) -> None:
        self.tree = make_tree(self.capacity, self.device)
        self.max_priority = torch.ones((), dtype=torch.float64, device=self.device)

    @property
    def default_priority(self) -> Tensor:
        """The TD error of the largest priority so far, which TorchRL's buffers give to new transitions."""
        if self.alpha == 0:
            return torch.ones_like(self.max_priority)
        return self.max_priority ** (1 / self.alpha) - self.eps

    def sample(self, storage: Storage, batch_size: int) -> tuple[Tensor, dict]:
        """Slots [S], and the importance weights [S], float64, under TorchRL's key `priority_weight`."""
        number = len(storage) if self.live is None else self.live
        if number < 1:
            raise RuntimeError("nothing can be sampled: the replay holds no transition")
        index, probability = self.tree.sample(batch_size, self._rng)
        if isinstance(self.tree, HostSumTree):
            weight = torch.from_numpy(np.power(probability.numpy() * number, -self.beta))
        else:
            weight = (probability * number) ** -self.beta
        return index, {"priority_weight": weight}

    def add(self, index: int | Tensor) -> None:
        """Gives a slot the largest priority so far."""
        self.extend(torch.as_tensor(index))

    def extend(self, index: Tensor) -> None:
        """Gives slots the largest priority so far."""
        self.tree.set(self._index(index), self.max_priority)

    def mark_update(self, index: int | Tensor, *, storage: Storage | None = None) -> None:
        """As `extend`."""
        self.add(index)

    def forget(self, index: Tensor) -> None:
        """Slots that are never sampled again until they are overwritten."""
        self.tree.set(self._index(index), torch.zeros_like(self.max_priority))

    def update_priority(
        self, index: int | Tensor, priority: float | Tensor, *, storage: Storage | None = None
    ) -> None:
        """Sets the priorities of slots from their TD errors; one that is not finite counts as the largest.

        A slot that was forgotten since it was sampled stays so.
        """
        index = self._index(index)
        td_error = torch.as_tensor(priority, device=self.device).detach()
        if isinstance(self.tree, HostSumTree):
            self._update_on_host(self.tree, index.numpy(), td_error.numpy())
            return
        raised = (td_error.reshape(-1).double().abs() + self.eps) ** self.alpha
        finite = raised.isfinite()
        torch.maximum(self.max_priority, torch.where(finite, raised, 0.0).amax(), out=self.max_priority)
        raised = torch.where(finite, raised, self.max_priority)
        self.tree.set(index, torch.where(self.tree.get(index) > 0, raised, 0.0))

    def _update_on_host(self, tree: HostSumTree, index: np.ndarray, td_error: np.ndarray) -> None:
        raised = np.abs(td_error.reshape(-1), dtype=np.float64)
        raised += self.eps
        raised **= self.alpha
        highest = self.max_priority.numpy()
        largest = raised.max()  # NaN if one is in it
        if largest < math.inf:
            np.maximum(highest, largest, out=highest)
        else:
            finite = np.isfinite(raised)
            np.maximum(highest, raised.max(where=finite, initial=0.0), out=highest)
            raised = np.where(finite, raised, highest)
        raised *= tree.get_array(index) > 0
        tree.set_array(index, raised)

    def _index(self, index: int | Tensor) -> Tensor:
        index = torch.as_tensor(index, dtype=torch.int64).reshape(-1)
        return index.to(self.device, non_blocking=True)

    def state_dict(self) -> dict[str, Any]:
        """Priorities, the largest so far, and the exponents."""
        return {
            "leaves": self.tree.leaves.clone(),
            "sums": self.tree.sums,
            "max_priority": self.max_priority.clone(),
            "alpha": self.alpha,
            "beta": self.beta,
            "eps": self.eps,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores them; ValueError for another capacity."""
        if len(state_dict["leaves"]) != self.capacity:
            raise ValueError(f"priorities of {len(state_dict['leaves'])} slots, not {self.capacity}")
        self.tree.load(state_dict["leaves"], state_dict["sums"])
        self.max_priority.copy_(state_dict["max_priority"])
        self.alpha, self.beta, self.eps = (float(state_dict[name]) for name in ("alpha", "beta", "eps"))

    def dumps(self, path: str | Path) -> None:
        """Writes a folder of memory-mapped tensors and JSON."""
        state = self.state_dict()
        tensors = {name: state.pop(name) for name in TENSORS}
        TensorDict(tensors, batch_size=[]).memmap(str(path), copy_existing=True)
        Path(path, "priorities.json").write_text(json.dumps(state), encoding="utf-8")

    def loads(self, path: str | Path) -> None:
        """Reads it."""
        state = json.loads(Path(path, "priorities.json").read_text(encoding="utf-8"))
        tensors = TensorDict.load_memmap(str(path))
        self.load_state_dict(state | {name: tensors[name] for name in TENSORS})
