"""Batches from several datasets, one of each game that a network is to play (Scaled QL, arXiv 2211.15144).

Legend: G datasets, B batch, K batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from catzoo.agents.learning.batches import Transitions
from catzoo.agents.replay.offline_replay import OfflineReplay

FILLED_UP = ("observation", "next_observation")


class ManyReplays:
    """Samples datasets in turn, a row each: none has more of a batch because it is larger.

    A batch has B / G rows of each; where that is no whole number one more of some, which are others in the
    next batch.

    Args:
        parts: a replay of each dataset, with discrete actions.
        shape: of observations that hold those of every part; these are filled up with zeros.

    Raises:
        ValueError: observations of several dtypes.
    """

    def __init__(self, parts: Sequence[OfflineReplay], shape: Sequence[int]) -> None:
        dtypes = {str(part.columns["observation"].dtype) for part in parts}
        if len(dtypes) > 1:
            raise ValueError(f"the datasets' observations are of {' and '.join(sorted(dtypes))}")
        self.parts, self.shape = list(parts), tuple(shape)
        self.rows = 0
        """Sampled so far; the next one is of part `rows` modulo G."""

    def __len__(self) -> int:
        """Transitions that can be sampled."""
        return sum(map(len, self.parts))

    def sample(
        self, batch_size: int, count: int = 1, device: torch.device | str | None = None
    ) -> tuple[Transitions, Tensor]:
        """K = `count` batches [K, B, ...] on `device`, and the transitions' numbers [K, B], which count
        through the datasets."""
        number, games, before = count * batch_size, len(self.parts), 0
        columns: dict[str, Tensor] = {}
        index = torch.empty(number, dtype=torch.int64)
        for turn, part in enumerate(self.parts):
            rows = slice((turn - self.rows) % games, None, games)
            batch, own = part.sample(len(index[rows]), 1, device)
            index[rows] = own[0] + before
            before += len(part.columns["action"])
            for name, column in batch._asdict().items():
                if column is None:
                    continue
                if name not in columns:
                    shape = self.shape if name in FILLED_UP else column.shape[2:]
                    columns[name] = column.new_zeros(number, *shape)
                columns[name][rows, *map(slice, column.shape[2:])] = column[0]
        self.rows += number
        sizes = (count, batch_size)
        batches = {name: column.unflatten(0, sizes) for name, column in columns.items()}
        return Transitions(**batches), index.view(sizes)

    def update_priority(self, index: Tensor, td_error: Tensor) -> None:
        """Nothing: sampling is uniform."""

    def state_dict(self) -> dict[str, Any]:
        """Whose turn it is, and the parts' states."""
        return {"rows": self.rows, "parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores it.

        Raises:
            ValueError: these were other datasets.
        """
        for part, own in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(own)
        self.rows = state["rows"]
