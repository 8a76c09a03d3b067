"""TorchRL's storage and writer as a ring of numbered rows, so that it can be saved piece by piece."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import ReplayBuffer

from catzoo.agents.replay.frames import FrameStorage, ring_rows


class Records:
    """Rows of a replay buffer by their number, the first one ever being 0.

    Args:
        buffer: with a round-robin writer, written to through `extend` only.
        capacity: of its storage.
        observation_shape, action_shape: what `put` takes for these; None: anything.
    """

    def __init__(
        self,
        buffer: ReplayBuffer,
        capacity: int,
        observation_shape: tuple[int, ...] | None = None,
        action_shape: tuple[int, ...] = (),
    ) -> None:
        self.buffer, self.size, self.count = buffer, capacity, 0
        observations = dict.fromkeys(("observation", "next_observation"), observation_shape)
        self.shapes = {**observations, "action": action_shape, "reward": (), "discount": ()}

    def extend(self, records: TensorDictBase) -> None:
        """Adds at most `capacity` rows."""
        self.buffer.extend(records)
        self.count += len(records)

    def begin(self, count: int) -> None:
        """Empties the buffer; what `put` writes then ends as row `count`.

        Raises:
            ValueError: a count that cannot be one.
        """
        if type(count) is not int or count < 0:
            raise ValueError(f"{count!r} rows cannot have been stored")
        self.buffer.empty()
        self.count = count
        first = max(count - self.size, 0) % self.size
        self.buffer.writer.load_state_dict({"_cursor": first, "_write_count": first})

    def row_bytes(self) -> int:
        """Of a row; 0 before the first."""
        return sum(column[0].nbytes for column in self._columns(slice(0, 1)).values()) if self.count else 0

    def rows(self, start: int, stop: int) -> dict[str, Tensor]:
        """Rows by column, on the CPU."""
        columns = self._columns(slice(0, min(self.count, self.size)))
        return {name: ring_rows(column, start, stop, self.size) for name, column in columns.items()}

    def put(self, start: int, rows: dict[str, Tensor]) -> None:
        """Writes rows in the order of their numbers; those that are overwritten since are left out.

        Raises:
            ValueError: rows of another kind.
        """
        self._check(rows)
        oldest = max(self.count - self.size, 0)
        kept = {name: column[max(oldest - start, 0) :] for name, column in rows.items()}
        number = len(next(iter(kept.values())))
        self.buffer.extend(TensorDict(kept, batch_size=[number]).to(self.buffer.storage.device))

    def _check(self, rows: dict[str, Tensor]) -> None:
        for name, column in rows.items():
            if self.shapes.get(name) not in (None, tuple(column.shape[1:])):
                raise ValueError(f"the saved {name} is of shape {list(column.shape[1:])}")

    def _columns(self, rows: slice) -> dict[str, Any]:
        storage = self.buffer.storage
        found = storage.records(rows) if isinstance(storage, FrameStorage) else storage.get(rows)
        return {name: torch.as_tensor(column) for name, column in found.items()}
