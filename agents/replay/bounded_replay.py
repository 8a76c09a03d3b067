"""Batches of transitions with the returns that the data had from there.

Legend: M transitions.
"""

from __future__ import annotations

from typing import Any, Self

import torch

from catzoo.agents.replay.dataset import Dataset
from catzoo.agents.replay.offline_replay import OfflineReplay

COLUMN = "return_to_go"


class BoundedReplay(OfflineReplay):
    """Samples transitions with `return_to_go`; arguments and errors as `OfflineReplay`.

    Raises:
        ValueError: the dataset has no such column, or one of another kind, or under another discount.
    """

    def __init__(self, dataset: Dataset, *, gamma: float, **options: Any) -> None:
        super().__init__(dataset, gamma=gamma, **options)
        if COLUMN not in dataset.columns:
            raise ValueError(f"{dataset.folder}: it has no column {COLUMN}, which `catzoo data robots` makes")
        if (own := dataset.manifest.get("gamma")) != gamma:
            raise ValueError(f"gamma={gamma:g}: the returns of {dataset.folder} are discounted by {own}")
        column = dataset.columns[COLUMN]
        if column.ndim > 1 or column.dtype != torch.float32:
            raise ValueError(f"{dataset.folder}: {COLUMN} must be one float32 number in each row")
        on_disk = options.get("place") == "disk"
        self.columns[COLUMN] = column if on_disk else column.to(self.device, copy=True)

    @classmethod
    def from_recipe(cls, dataset: Dataset, recipe: Any, *, device: torch.device, seed: int) -> Self:
        """As a recipe with a place has it."""
        return cls(dataset, gamma=recipe.gamma, place=recipe.replay.place, device=device, seed=seed)
