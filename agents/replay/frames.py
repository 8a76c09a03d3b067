"""Frame stacks, each frame stored once.

An Atari observation is the newest four frames, so a transition stored whole holds eight frames of which one
is new. Here frames lie in a ring, an observation is the *number* of its newest frame (a running count; its
place in the ring is the number mod M), and a table says which places make up its stack. What a stack holds
at an episode's start is taken as it comes: black frames share one place, repeated ones have one together,
others are stored.

Which observation continues which is read off the frames themselves, so autoreset modes, resets in between and
continued runs need no case of their own: what does not continue the last stack is stored as a new one.

Legend: N environments, T steps, S frames of a stack, M places, [H, W] a frame.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.data import LazyTensorStorage

from catzoo.hparams import RecipeError

GUARD = 1024
"""Places beyond the share: open episodes, and steps that wait for their n-step return."""
NONE = -1
"""The number of a black frame, which has a place and no number."""


def ring_size(capacity: int) -> int:
    """M: a frame a transition, 1/32 more for what begins and ends episodes, and the guard."""
    return capacity + capacity // 32 + GUARD


class FrameStore:
    """A ring of single frames, and where the frames of each stack lie in it.

    Args:
        size: M.
        device: where frames and table live.
        folder: for a memory-mapped file instead of memory, on the CPU.
    """

    def __init__(self, size: int, device: torch.device | str = "cpu", folder: Path | None = None) -> None:
        self.size, self.device, self.folder = size, torch.device(device), folder
        self.count = 0
        self.shape: tuple[int, ...] | None = None
        self.cut()

    def cut(self) -> None:
        """Ends the open episodes: what comes next is stored as a new stack."""
        self._open: tuple[Tensor, np.ndarray] | None = None

    def _allocate(self, shape: tuple[int, ...]) -> None:
        stack, height, width = shape
        frames = (self.size + 1, height, width)  # the last one is black
        if self.folder is None:
            self.frames = torch.empty(frames, dtype=torch.uint8, device=self.device)
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            number = frames[0] * height * width
            file = self.folder / "frames.uint8"
            reserve(file, number)
            self.frames = torch.from_file(str(file), shared=True, size=number, dtype=torch.uint8).view(frames)
        self.frames[-1] = 0
        self.table = torch.full((self.size, stack), self.size, dtype=torch.int32, device=self.device)
        # On the host: the oldest frame that the stack of each number needs.
        self.oldest = np.zeros(self.size, np.int64)
        self.shape = tuple(shape)

    def add(self, rollout: TensorDictBase) -> TensorDictBase:
        """Stores the frames of a rollout [N, T]; returns it with numbers in place of observations.

        Raises:
            ValueError: observations that are not stacks of uint8 frames, each the last one moved on.
        """
        now, following = (
            rollout[key].transpose(0, 1).contiguous().cpu()
            for key in ("observation", ("next", "observation"))
        )
        if now.ndim != 5 or now.dtype != torch.uint8:
            raise ValueError(
                f"replay.store=frames needs frame stacks [stack, height, width] of uint8, not "
                f"{list(now.shape[2:])} of {str(now.dtype).removeprefix('torch.')}; use replay.store=whole"
            )
        if self.shape is None:
            self._allocate(tuple(now.shape[2:]))
        now_TNSP, next_TNSP = now.flatten(3).numpy(), following.flatten(3).numpy()
        mask = rollout.get(("collector", "mask"), None)
        reset_TN = np.zeros(now.shape[:2], bool) if mask is None else ~mask.T.cpu().numpy()
        fresh_TN, jumps_TN = self._breaks(now_TNSP, next_TNSP, reset_TN)
        now_TN, next_TN, last_NS = self._store(now_TNSP, next_TNSP, fresh_TN, jumps_TN)
        self._open = (following[-1].clone(), last_NS)
        now_NT, next_NT = (torch.from_numpy(array.T.copy()) for array in (now_TN, next_TN))
        result = rollout.exclude("observation", ("next", "observation"))
        result["observation"], result["next", "observation"] = now_NT, next_NT
        return result

    def _breaks(
        self, now_TNSP: np.ndarray, next_TNSP: np.ndarray, reset_TN: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where an observation does not go on from the last one, and where the next one does not from it."""
        fresh_TN = np.ones(reset_TN.shape, bool)
        fresh_TN[1:] = differ(now_TNSP[1:], next_TNSP[:-1])
        if self._open is not None and len(self._open[0]) != fresh_TN.shape[1]:
            self.cut()
        if self._open is not None:
            fresh_TN[0] = differ(now_TNSP[0], self._open[0].flatten(2).numpy())
        jumps_TN = differ(now_TNSP[:, :, 1:], next_TNSP[:, :, :-1])
        if (jumps_TN & ~reset_TN).any():
            raise RecipeError(
                "replay.store=frames needs frame stacks, and an observation here is not the last one moved "
                "on by a frame; use replay.store=whole"
            )
        return fresh_TN, jumps_TN

    def _store(
        self, now_TNSP: np.ndarray, next_TNSP: np.ndarray, fresh_TN: np.ndarray, jumps_TN: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Writes what is new; returns the numbers of the observations and of the next ones, each [T, N], and
        those that make up the last next ones [N, S].

        Numbers run through time and then the environments: a fresh stack's older frames, its newest one, the
        same for the next observation if it is fresh too, and else that one's newest frame alone.
        """
        first = {name: new_frames(stacks[where]) for name, stacks, where in (
            ("now", now_TNSP, fresh_TN), ("next", next_TNSP, jumps_TN),
        )}  # fmt: skip
        taken_TN = np.ones(fresh_TN.shape, np.int64)
        taken_TN[jumps_TN] = first["next"].sum(1)
        before_TN = np.zeros_like(taken_TN)
        before_TN[fresh_TN] = first["now"].sum(1)
        end_TN = self.count + (taken_TN + before_TN).cumsum().reshape(taken_TN.shape)
        next_TN = end_TN - 1
        fresh_rows = rows_of(first["now"], now_TNSP[fresh_TN], (end_TN - taken_TN)[fresh_TN])
        jump_rows = rows_of(first["next"], next_TNSP[jumps_TN], end_TN[jumps_TN])
        now_TNS, next_TNS = self._follow(
            next_TN, fresh_TN, jumps_TN, fresh_rows, jump_rows, now_TNSP.shape[2]
        )
        self.count = int(end_TN[-1, -1])
        self._write_frames(next_TN.reshape(-1), next_TNSP[:, :, -1].reshape(next_TN.size, -1))
        for name, rows, stacks in (
            ("now", fresh_rows, now_TNSP[fresh_TN]),
            ("next", jump_rows, next_TNSP[jumps_TN]),
        ):
            self._write_frames(rows[first[name]], stacks[first[name]])
        self._write_rows(now_TNS[fresh_TN])
        self._write_rows(next_TNS.reshape(next_TN.size, -1))
        return now_TNS[..., -1], next_TN, next_TNS[-1].copy()

    def _follow(
        self,
        next_TN: np.ndarray,
        fresh_TN: np.ndarray,
        jumps_TN: np.ndarray,
        fresh_rows: np.ndarray,
        jump_rows: np.ndarray,
        stack: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The numbers that make up each stack, [T, N, S] twice: each goes on from the last, or is fresh."""
        now_TNS = np.empty((*next_TN.shape, stack), np.int64)
        next_TNS = np.empty_like(now_TNS)
        now_TNS[fresh_TN] = fresh_rows
        row_NS = now_TNS[0] if self._open is None else self._open[1]
        for t in range(len(next_TN)):
            row_NS = np.where(fresh_TN[t, :, None], now_TNS[t], row_NS)
            now_TNS[t] = row_NS
            row_NS = np.concatenate([row_NS[:, 1:], next_TN[t, :, None]], axis=1)
            if jumps_TN[t].any():
                next_TNS[t] = row_NS
                next_TNS[t, jumps_TN[t]] = jump_rows[jumps_TN[:t].sum() :][: jumps_TN[t].sum()]
                row_NS = next_TNS[t]
            next_TNS[t] = row_NS
        return now_TNS, next_TNS

    def _write_frames(self, numbers: np.ndarray, frames: np.ndarray) -> None:
        """Writes frames [X, H W] at their places, unless they are older than the whole ring."""
        kept = numbers >= self.count - self.size
        if not kept.all():
            numbers, frames = numbers[kept], frames[kept]
        places = torch.from_numpy(numbers % self.size).to(self.device)
        source = torch.from_numpy(frames).to(self.device)
        self.frames.flatten(1).index_copy_(0, places, source)

    def _write_rows(self, rows_XS: np.ndarray) -> None:
        """Writes stacks, given as numbers, under their newest frame's number."""
        rows_XS = rows_XS[rows_XS[:, -1] >= self.count - self.size]
        black = rows_XS == NONE
        places = rows_XS[:, -1] % self.size
        self.oldest[places] = np.where(black, rows_XS[:, -1:], rows_XS).min(1)
        table = torch.from_numpy(np.where(black, self.size, rows_XS % self.size).astype(np.int32))
        self.table.index_copy_(0, torch.from_numpy(places).to(self.device), table.to(self.device))

    def oldest_of(self, numbers: np.ndarray) -> np.ndarray:
        """The oldest frame that each observation needs; NONE if its own is already overwritten."""
        return np.where(numbers >= self.count - self.size, self.oldest[numbers % self.size], NONE)

    def stacks(self, numbers: Tensor) -> Tensor:
        """Observations [..., S, H, W] by their numbers [...], on the store's device; waits for no GPU."""
        places = self.table.index_select(0, (numbers % self.size).flatten()).flatten()
        frames = self.frames.index_select(0, places)
        return frames.view(*numbers.shape, *self.shape)

    def row_bytes(self) -> int:
        """Of a frame with its stack; 0 before the first."""
        return 0 if self.shape is None else self.frames[0].nbytes + self.table[0].nbytes + 8

    def rows(self, start: int, stop: int) -> dict[str, Tensor]:
        """Frames `start` to `stop` by number and the stacks under their numbers, on the CPU."""
        columns = {"frames": self.frames, "table": self.table, "oldest": torch.from_numpy(self.oldest)}
        return {name: ring_rows(column, start, stop, self.size) for name, column in columns.items()}

    def put(self, start: int, rows: dict[str, Tensor]) -> None:
        """Writes them back; ValueError for frames of another shape."""
        if rows["frames"].shape[1:] != self.frames.shape[1:] or rows["table"].max() > self.size:
            raise ValueError("the saved frames are of another kind")
        number = torch.arange(start, start + len(rows["frames"]))
        keep = number >= self.count - self.size
        places = number[keep] % self.size
        self.frames.index_copy_(0, places.to(self.device), rows["frames"][keep].to(self.device))
        self.table.index_copy_(0, places.to(self.device), rows["table"][keep].to(self.device))
        self.oldest[places.numpy()] = rows["oldest"][keep].numpy()

    def state_dict(self) -> dict[str, Any]:
        """All but the rows."""
        return {"size": self.size, "count": self.count, "shape": self.shape, "open": self._open}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores it; ValueError for a ring of another size."""
        if state["size"] != self.size:
            raise ValueError(
                f"the saved replay has room for {state['size']} frames, this one for {self.size}"
            )
        if state["shape"] is not None and self.shape != state["shape"]:
            self._allocate(state["shape"])
        self.count, self._open = state["count"], state["open"]


class FrameStorage(LazyTensorStorage):
    """TorchRL's storage of records that hold frame numbers; what is read holds the stacks."""

    def __init__(self, max_size: int, frames: FrameStore, *, device: torch.device | str = "cpu") -> None:
        super().__init__(max_size, device=device)
        self.frames = frames

    def records(self, index: Any) -> TensorDictBase:
        """Records as they lie, with numbers for observations."""
        return super().get(index)

    def get(self, index: Any) -> TensorDictBase:
        """Records with their observations assembled."""
        record = self.records(index).copy()
        numbers = torch.stack([record["observation"], record["next_observation"]])
        record["observation"], record["next_observation"] = self.frames.stacks(numbers).unbind(0)
        return record


def reserve(file: Path, size: int) -> None:
    """Makes a file of `size` bytes whose place on the disk is taken: a full disk would end the process where
    the file is mapped and has holes.

    Raises:
        OSError: there is no room.
    """
    with file.open("wb") as opened:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(opened.fileno(), 0, size)
        else:
            opened.truncate(size)


def ring_rows(column: Tensor, start: int, stop: int, size: int) -> Tensor:
    """Rows `start` to `stop`, counted from the first ever, of a ring of `size` places, on the CPU."""
    begin, length = start % size, stop - start
    parts = [column[begin : min(begin + length, size)], column[: max(begin + length - size, 0)]]
    return (torch.cat(parts) if len(parts[1]) else parts[0]).cpu().contiguous()


def differ(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether stacks [..., S, P] differ anywhere, [...]; by eight pixels at a time where they divide."""
    pixels = first.shape[-1]
    if pixels % 8 == 0:
        first, second = first.view(np.int64), second.view(np.int64)
    return (first != second).any(axis=(-2, -1))


def new_frames(stacks_XSP: np.ndarray) -> np.ndarray:
    """Which frames of fresh stacks need a place of their own, [X, S]; the newest always does.

    Not black ones, and not those that are the same as the one after them.
    """
    new_XS = stacks_XSP.any(-1)
    new_XS[:, :-1] &= (stacks_XSP[:, :-1] != stacks_XSP[:, 1:]).any(-1)
    new_XS[:, -1] = True
    return new_XS


def rows_of(new_XS: np.ndarray, stacks_XSP: np.ndarray, end_X: np.ndarray) -> np.ndarray:
    """The number of each frame of fresh stacks, [X, S], the last of which comes just before `end_X`."""
    # A repeated frame has the number of the first new one after it, which is counted from the end.
    after_XS = np.flip(np.flip(new_XS, 1).cumsum(1), 1)
    rows_XS = end_X[:, None] - after_XS
    rows_XS[:, :-1][~stacks_XSP[:, :-1].any(-1)] = NONE
    return rows_XS
