"""Batches of whole episodes as sequences of tokens, and of positions with all their moves.

Legend: B batch, K batches, L tokens, T choices, P moves of all positions, W moves of one position at most.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from catzoo.agents.learning.batches import Positions, Sequences
from catzoo.agents.replay.dataset import Dataset
from catzoo.agents.replay.dataset_replay import DatasetReplay


class SequenceReplay(DatasetReplay):
    """Samples sequences; arguments as `DatasetReplay`."""

    kind = "sequences"
    family = Sequences

    def __init__(self, dataset: Dataset, **options: Any) -> None:
        own = self.columns_of(dataset)
        super().__init__(dataset, {name: own[name] for name in Sequences._fields}, **options)


class PositionReplay(DatasetReplay):
    """Samples positions, each with all its moves, filled up to the most of the sample; as `DatasetReplay`."""

    kind = "positions"
    family = Positions

    def __init__(self, dataset: Dataset, **options: Any) -> None:
        own = self.columns_of(dataset)
        names = ("board", "offset", "move", "value")
        super().__init__(dataset, {name: own[name] for name in names}, **options)

    def _fields(self, index: Tensor) -> dict[str, Tensor]:
        end_B = self.columns["offset"][index]
        start_B = torch.where(index > 0, self.columns["offset"][index - 1], 0)
        number_B = end_B - start_B
        slot_W = torch.arange(int(number_B.max()), device=self.device)
        live_BW = slot_W < number_B[:, None]
        row_BW = torch.where(live_BW, start_B[:, None] + slot_W, 0)
        move = self.columns["move"][row_BW]
        return {
            "board": self.columns["board"].index_select(0, index),
            "action": move.masked_fill(~live_BW.view(*live_BW.shape, *[1] * (move.ndim - 2)), 0),
            "value": self.columns["value"][row_BW].masked_fill(~live_BW, 0),
            "live": live_BW,
        }
