"""A tree of sums: leaves sampled in proportion to their priority, on any device, without C++.

Legend: L leaves, F fan-out, S samples.

Each node's sum is recomputed from its F children whenever one of them changes, so sums do not drift and an
index given twice does no harm. The widest level, the root's children, is searched by its cumulative sum; the
levels below it by the suffix sums of one row of F for each sample.

What keeps a leaf of priority 0 from ever being sampled, whatever the rounding: of a row, the child is the
first *positive* one beyond which less than the sought distance is left, and the last positive one always
qualifies, because what is left beyond it is exactly 0.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

FAN_OUT = {"cpu": 16, "cuda": 64}
"""Children of a node. On a CPU a level costs by its width, on a GPU by its launches."""
WIDEST = {"cpu": 4096, "cuda": 32768}
"""Children of the root at most: its cumulative sum is taken once a call."""
BELOW_ONE = 1 - 2**-51
"""What keeps a share of 1 below the total, through two roundings."""


class SumTree:
    """Leaves of float64 on `device`; nothing waits for a GPU.

    Args:
        capacity: number of leaves, all 0 at first.
        device: where the tree lives.
        fan_out, widest: children of a node, and of the root at most; by default the device's.
    """

    def __init__(
        self,
        capacity: int,
        device: torch.device | str = "cpu",
        *,
        fan_out: int | None = None,
        widest: int | None = None,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity={capacity} must be at least 1")
        self.capacity, self.device = capacity, torch.device(device)
        kind = "cuda" if self.device.type == "cuda" else "cpu"
        self.fan_out = FAN_OUT[kind] if fan_out is None else fan_out
        widest = max(WIDEST[kind] if widest is None else widest, 1)
        rows = -(-capacity // self.fan_out)
        self.levels = [self._zeros(rows * self.fan_out)]
        while rows > widest:
            rows = -(-rows // self.fan_out)
            self.levels.append(self._zeros(rows * self.fan_out))
        self.root = self._zeros(rows)
        # Row r of a product with it: the sums of what lies beyond each child.
        self.beyond = torch.ones(self.fan_out, self.fan_out, dtype=torch.float64, device=self.device).tril_(
            -1
        )

    def _zeros(self, size: int) -> Tensor:
        return torch.zeros(size, dtype=torch.float64, device=self.device)

    @property
    def leaves(self) -> Tensor:
        """[L], a view."""
        return self.levels[0][: self.capacity]

    @property
    def total(self) -> Tensor:
        """The sum of all leaves, [] ."""
        return self.root.sum()

    def get(self, index: Tensor) -> Tensor:
        """Priorities [S] of leaves [S]."""
        return self.levels[0].index_select(0, index)

    def set(self, index: Tensor, priority: Tensor) -> None:
        """Sets leaves [S], int64 on the tree's device, to priorities [S] or [], none negative or NaN."""
        self.levels[0][index] = priority
        for level, above in zip(self.levels, [*self.levels[1:], self.root], strict=True):
            index = index // self.fan_out
            above[index] = level.view(-1, self.fan_out).index_select(0, index).sum(1)

    @property
    def sums(self) -> Tensor:
        """What stands above the leaves, in one tensor: recomputed it would differ by roundings."""
        return torch.cat([*self.levels[1:], self.root])

    def load(self, leaves: Tensor, sums: Tensor | None = None) -> None:
        """Replaces all leaves [L], and the sums above them by those of a tree of the same shape."""
        self.leaves.copy_(leaves)
        for level, above in zip(self.levels, [*self.levels[1:], self.root], strict=True):
            added = level.view(-1, self.fan_out).sum(1)
            above[: len(added)] = added
        if sums is not None and len(sums) == len(self.sums):
            sizes = [len(level) for level in (*self.levels[1:], self.root)]
            for above, saved in zip((*self.levels[1:], self.root), sums.split(sizes), strict=True):
                above.copy_(saved)

    def sample(self, count: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Leaves in proportion to their priority, one of each of `count` strata of equal mass, shuffled.

        Shuffled, so that any part of the result is an unbiased sample too.

        Returns:
            indices [S], int64, and their share of the total [S], float64.
        """
        share = torch.rand(count, dtype=torch.float64, device=self.device, generator=generator)
        share += torch.arange(count, device=self.device)
        share /= count
        # Sorting: `randperm` on a GPU has waited for the host in some releases.
        order = torch.rand(count, device=self.device, generator=generator).argsort()
        index, probability = self._find(share)
        return index[order], probability[order]

    def _find(self, share: Tensor) -> tuple[Tensor, Tensor]:
        """The leaves [S] at these shares [S] of the total, in [0, 1], and their own shares [S]."""
        # A parallel scan's rounding may grow across a 0 or fall: only growth at a positive child counts.
        sums = torch.where(self.root > 0, self.root.cumsum(0), 0.0).cummax(0).values
        total = sums[-1]
        sought = share * (total * BELOW_ONE)
        index = torch.searchsorted(sums, sought, right=True).clamp_(max=len(sums) - 1)
        distance = sums.index_select(0, index) - sought
        for level in reversed(self.levels):
            rows = level.view(-1, self.fan_out).index_select(0, index)
            beyond = rows @ self.beyond
            child = ((beyond < distance[:, None]) & (rows > 0)).to(torch.uint8).argmax(1, keepdim=True)
            distance = distance - beyond.gather(1, child)[:, 0]
            index = index * self.fan_out + child[:, 0]
        return index, self.get(index) / total


class HostSumTree(SumTree):
    """The same on a CPU, with NumPy on the tree's own memory: its calls cost a third of torch's."""

    def __init__(self, capacity: int, *, fan_out: int | None = None, widest: int | None = None) -> None:
        super().__init__(capacity, "cpu", fan_out=fan_out, widest=widest)
        self._flat = [level.numpy() for level in (*self.levels, self.root)]
        self._rows = [level.reshape(-1, self.fan_out) for level in self._flat[:-1]]
        self._beyond = self.beyond.numpy()
        self._ones = np.ones(self.fan_out)
        self._strata = np.arange(0)

    def get(self, index: Tensor) -> Tensor:
        """Priorities [S] of leaves [S]."""
        return torch.from_numpy(self._flat[0].take(index.numpy()))

    def set(self, index: Tensor, priority: Tensor) -> None:
        """As the base class says."""
        self.set_array(index.numpy(), priority.numpy())

    def set_array(self, index: np.ndarray, priority: np.ndarray) -> None:
        """`set` for arrays."""
        self._flat[0][index] = priority
        for rows, above in zip(self._rows, self._flat[1:], strict=True):
            index = index // self.fan_out
            above[index] = rows.take(index, 0).dot(self._ones)

    def get_array(self, index: np.ndarray) -> np.ndarray:
        """`get` for arrays."""
        return self._flat[0].take(index)

    def sample(self, count: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """As the base class says."""
        if len(self._strata) != count:
            self._strata = np.arange(count)
        share = torch.rand(count, dtype=torch.float64, generator=generator).numpy()
        share += self._strata
        index, probability = self._find_array(share, count)
        order = torch.randperm(count, generator=generator).numpy()
        return torch.from_numpy(index.take(order)), torch.from_numpy(probability.take(order))

    def _find(self, share: Tensor) -> tuple[Tensor, Tensor]:
        index, probability = self._find_array(share.numpy(), 1)
        return torch.from_numpy(index), torch.from_numpy(probability)

    def _find_array(self, share: np.ndarray, whole: int) -> tuple[np.ndarray, np.ndarray]:
        """`_find` for arrays; shares are in [0, whole]."""
        sums = self._flat[-1].cumsum()
        total = sums[-1]
        if not total > 0:
            raise RuntimeError("nothing can be sampled: every priority is 0")
        sought = share * (total * BELOW_ONE / whole)
        index = sums.searchsorted(sought, "right")
        distance = sums.take(index)
        distance -= sought
        corner = np.arange(0, len(share) * self.fan_out, self.fan_out)
        for rows in reversed(self._rows):
            family = rows.take(index, 0)
            beyond = family.dot(self._beyond)
            fits = beyond < distance[:, None]
            fits &= family > 0
            child = fits.argmax(1)
            if rows is not self._rows[0]:
                distance -= beyond.take(corner + child)
            index *= self.fan_out
            index += child
        return index, self._flat[0].take(index) / total


def make_tree(capacity: int, device: torch.device | str = "cpu") -> SumTree:
    """The faster tree for a device."""
    device = torch.device(device)
    return HostSumTree(capacity) if device.type == "cpu" else SumTree(capacity, device)
