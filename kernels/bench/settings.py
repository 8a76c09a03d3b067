"""What may be asked for, what is asked for by default, and the cells that follow from it.

Shapes: N rows, B batch, A actions, K bins.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

PARTS = ("throughput", "td", "linear", "labels")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
TD_LABELS = ("hl_gauss", "two_hot", "c51")
FIRST_BINS = (51, 101)
"""The widths that are measured first: of C51 and Stop Regressing, and of larger supports."""
LARGEST = {"rows": 2**26, "bins": 1024, "batches": 2**20, "actions": 1024, "td_bins": 1024}


class BenchError(ValueError):
    """Something was asked for that cannot be measured; the message is one line."""


@dataclass(frozen=True)
class Settings:
    """What to measure. None is the device's default; see `settle`.

    rows (N), bins (K) and dtypes are those of `throughput`, rows also of `linear`; batches (B), actions (A)
    and td_bins (K) those of `td`, which is float32. budget is in seconds a cell, limit in seconds for all of
    them. compile says whether torch.compile is a side. threads is the number of CPU threads of PyTorch.
    """

    device: str = "auto"
    parts: Sequence[str] = PARTS
    rows: Sequence[int] | None = None
    bins: Sequence[int] | None = None
    dtypes: Sequence[str] | None = None
    batches: Sequence[int] | None = None
    actions: Sequence[int] | None = None
    td_bins: int = 51
    budget: float | None = None
    limit: float | None = None
    threads: int | None = None
    compile: bool | None = None
    quick: bool = False

    def settle(self) -> Settled:
        """Every None replaced by the device's default; raises BenchError for what cannot be measured."""
        device = _device(self.device)
        defaults = QUICK if self.quick else ON_GPU if device.type == "cuda" else ON_CPU
        given = {
            name: getattr(self, name) for name in ("rows", "bins", "dtypes", "batches", "actions", "budget")
        }
        defaults = replace(defaults, **{name: value for name, value in given.items() if value is not None})
        settled = replace(
            defaults,
            device=device,
            parts=tuple(self.parts),
            td_bins=self.td_bins,
            limit=self.limit,
            threads=torch.get_num_threads() if device.type == "cuda" else 1,
            compile=device.type == "cuda" and not self.quick if self.compile is None else self.compile,
        )
        if self.threads is not None:
            settled = replace(settled, threads=self.threads)
        _check(settled)
        return settled


@dataclass(frozen=True)
class Settled:
    """`Settings` without a gap."""

    device: torch.device
    rows: Sequence[int]
    bins: Sequence[int]
    dtypes: Sequence[str]
    batches: Sequence[int]
    actions: Sequence[int]
    budget: float
    label_rows: int
    label_bins: int = 101
    parts: Sequence[str] = PARTS
    td_bins: int = 51
    limit: float | None = None
    threads: int = 1
    compile: bool = False


ON_GPU = Settled(
    device=torch.device("cuda"),
    rows=(32, 1024, 2**15, 2**20),
    bins=(21, 51, 101, 128, 255),
    dtypes=("float32", "bfloat16"),
    batches=(32, 128, 256, 1024, 4096),
    actions=(6, 18),
    budget=0.7,
    label_rows=2**20,
)
ON_CPU = Settled(
    device=torch.device("cpu"),
    rows=(32, 256, 4096, 65536),
    bins=(51, 101, 255),
    dtypes=("float32",),
    batches=(32, 128, 256, 1024, 4096),
    actions=(6, 18),
    budget=2.0,
    label_rows=4096,
)
QUICK = Settled(
    device=torch.device("cpu"),
    rows=(32, 256),
    bins=(51,),
    dtypes=("float32",),
    batches=(8, 32),
    actions=(6,),
    budget=0.02,
    label_rows=64,
    label_bins=51,
)


@dataclass(frozen=True)
class Cell:
    """One place in the table: all its sides are measured together, taking turns.

    rows is N, or the batch B of `td`; actions is 0 but for `td`.
    """

    part: str
    label: str
    rows: int
    bins: int
    dtype: str = "float32"
    actions: int = 0

    def __str__(self) -> str:
        shape = [self.rows, self.actions, self.bins] if self.actions else [self.rows, self.bins]
        label = f" {self.label}" if self.label else ""
        return f"{self.part}{label} {' x '.join(map(str, shape))} {self.dtype}"


def cells(settled: Settled) -> Iterator[Cell]:
    """Everything to measure, what matters most first: a benchmark may be cut short."""
    throughput = [
        Cell("throughput", "hl_gauss", rows, bins, dtype)
        for dtype in settled.dtypes
        for bins in settled.bins
        for rows in sorted(settled.rows, reverse=settled.device.type == "cuda")
        if "throughput" in settled.parts
    ]
    yield from (cell for cell in throughput if cell.bins in FIRST_BINS)
    if "td" in settled.parts:
        for label in TD_LABELS:
            for actions in settled.actions:
                for batch in settled.batches:
                    yield Cell("td", label, batch, settled.td_bins, actions=actions)
    if "linear" in settled.parts:
        for rows in sorted(settled.rows, reverse=True):
            yield Cell("linear", "hl_gauss", rows, settled.label_bins)
    if "labels" in settled.parts:
        yield Cell("labels", "", settled.label_rows, settled.label_bins)
    yield from (cell for cell in throughput if cell.bins not in FIRST_BINS)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise BenchError(f"unknown device {name!r}: must be auto, cpu, cuda or cuda:0, cuda:1, …")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BenchError(f"device {name!r}: PyTorch finds no GPU here; --device cpu measures the CPU")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BenchError(f"device {name!r}: there are {torch.cuda.device_count()} GPUs here")
    return device


def _check(settled: Settled) -> None:
    _known("part", settled.parts, PARTS)
    _known("dtype", settled.dtypes, tuple(DTYPES))
    for name, largest in LARGEST.items():
        values = getattr(settled, name)
        least = 2 if "bins" in name else 1
        for value in values if isinstance(values, Sequence) else [values]:
            if not least <= value <= largest:
                raise BenchError(f"{name}={value}: must be at least {least} and at most {largest}")
    if settled.threads < 1:
        raise BenchError(f"threads={settled.threads}: must be at least 1")
    for name, seconds in (("budget", settled.budget), ("limit", settled.limit)):
        if seconds is not None and not 0 < seconds < 1e6:
            raise BenchError(f"{name}={seconds:g}: must be a number of seconds above 0")


def _known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise BenchError(f"unknown {what} {name!r}: must be one of {', '.join(known)}{hint}")
