"""Batches from a dataset, for agents that play nothing: what samplers of all kinds of datasets share.

Legend: M items, B batch, K batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from catzoo.agents.replay.dataset import Dataset

PLACES = ("memory", "disk", "device")


class DatasetReplay:
    """Samples items uniformly, with replacement, by a random stream of its own.

    Args:
        dataset: of the sampler's `kind`.
        columns: what is sampled, by the names of the family's fields; the dataset's or made from them.
        place: `memory`, `disk` (the dataset's own files, mapped), or `device`.
        device: the learner's, for `place="device"`.
        seed: of sampling.

    Raises:
        ValueError: an argument that is not one of these.
    """

    kind: ClassVar[str]
    family: ClassVar[type[Any]]
    """Of its batches."""

    def __init__(
        self,
        dataset: Dataset,
        columns: Mapping[str, Tensor],
        *,
        place: str = "memory",
        device: torch.device | str = "cpu",
        seed: int = 0,
    ) -> None:
        if place not in PLACES:
            raise ValueError(f"place={place!r} must be one of {', '.join(PLACES)}")
        if dataset.kind != self.kind:
            raise ValueError(
                f"{dataset.folder}: a dataset of {dataset.kind}, and this learns from {self.kind}"
            )
        self.device = torch.device(device if place == "device" else "cpu")
        self.random = torch.Generator().manual_seed(seed)
        self.crc32 = [spec["crc32"] for spec in dataset.manifest["columns"].values()]
        self.columns = dict(columns)
        if place != "disk":
            self.columns = {name: column.to(self.device, copy=True) for name, column in columns.items()}
        self.count = len(dataset)

    @classmethod
    def columns_of(cls, dataset: Dataset) -> dict[str, Tensor]:
        """The columns of a dataset that is of the sampler's kind.

        Raises:
            ValueError: it is of another.
        """
        if dataset.kind != cls.kind:
            raise ValueError(f"{dataset.folder}: it holds {dataset.kind}, and {cls.kind} are needed")
        return dataset.columns

    @classmethod
    def from_recipe(cls, dataset: Dataset, recipe: Any, *, device: torch.device, seed: int) -> Self:
        """As a recipe has it."""
        return cls(dataset, place=recipe.replay.place, device=device, seed=seed)  # type: ignore[call-arg]

    def __len__(self) -> int:
        """Items that can be sampled."""
        return self.count

    def sample(
        self, batch_size: int, count: int = 1, device: torch.device | str | None = None
    ) -> tuple[Any, Tensor]:
        """K = `count` batches [K, B, ...] on `device`, and the items' numbers [K, B]."""
        device = self.device if device is None else torch.device(device)
        index = self._numbers(torch.randint(len(self), (count * batch_size,), generator=self.random))
        fields = {
            name: column.to(device, non_blocking=True).unflatten(0, (count, batch_size))
            for name, column in self._fields(index.to(self.device, non_blocking=True)).items()
        }
        return self.family(**fields), index.view(count, batch_size)

    def _numbers(self, index: Tensor) -> Tensor:
        """The numbers of the items that were drawn, of those that can be."""
        return index

    def _fields(self, index: Tensor) -> dict[str, Tensor]:
        """The fields of a batch of these items."""
        return {name: column.index_select(0, index) for name, column in self.columns.items()}

    def update_priority(self, index: Tensor, td_error: Tensor) -> None:
        """Nothing: sampling is uniform."""

    def state_dict(self) -> dict[str, Any]:
        """The position of the random stream, and what tells the dataset from another."""
        return {"random": self.random.get_state(), "crc32": self.crc32}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the stream.

        Raises:
            ValueError: it was another dataset.
        """
        if state["crc32"] != self.crc32:
            raise ValueError("it learned from another dataset, or from another state of this one")
        self.random.set_state(state["random"])
