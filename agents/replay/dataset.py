"""A dataset on disk: transitions that a run recorded, for agents that learn without an environment.

| file | holds |
|---|---|
| `manifest.json` | how many transitions, of what shapes, from which run; a CRC-32 of every column |
| `NAME.memmap`, `meta.json` | the columns, which `TensorDict.load_memmap` reads too |

| column, M transitions | what |
|---|---|
| observation, next_observation | [M, ...], as the environment gave them |
| action | [M], int64; [M, ...], float32, where actions are continuous |
| reward | [M], float32, neither clipped nor discounted |
| terminated | [M], bool |
| next_action | as action, what the same policy did next; -1 or NaN where the episode ended or was cut |

A dataset may come from anyone: it is read by its manifest alone, which is plain data, as raw numbers
(`load_memmap` may unpickle). The CRC tells a damaged file, and not whose it is.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from catzoo.hparams import RecipeError
from catzoo.hparams.json_text import from_json, to_json
from catzoo.hparams.paths import path_of
from catzoo.hparams.published_files import replace, settle

FORMAT = 1
"""Version of the folder's layout."""
MANIFEST, META = "manifest.json", "meta.json"
COLUMNS = ("observation", "action", "reward", "next_observation", "terminated", "next_action")
NO_ACTION = -1
"""The next action of a transition that has none."""
DTYPES = {
    str(dtype): dtype
    for dtype in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
                  torch.float16, torch.float32)
}  # fmt: skip
"""Of columns."""
KINDS = {"reward": torch.float32, "terminated": torch.bool}
"""Of the columns that are one number a transition."""
LARGEST = 1 << 24
"""Bytes of a manifest at most."""


class DatasetError(ValueError):
    """A folder that is no dataset, or a damaged one; the message is one line."""


class Dataset:
    """A recorded dataset, mapped and never written to.

    Args:
        folder: with a manifest, or a run's folder that holds one in `dataset/`.

    Raises:
        DatasetError: no dataset there, of another format, empty, or torn; `verify` looks closer.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            self.folder = path_of(folder)
            if not (self.folder / MANIFEST).is_file() and (self.folder / "dataset" / MANIFEST).is_file():
                self.folder = self.folder / "dataset"
            self.manifest = _read_manifest(self.folder / MANIFEST)
            self.columns = {name: self._map(name) for name in COLUMNS}
        except RecipeError as error:  # no name
            raise DatasetError(str(error)) from None
        except OSError as error:
            raise DatasetError(f"{self.folder}: {error.strerror or error}") from None
        self.action_numbers: Sequence[int] | None = None
        """Of each action, [A], where an agent counts its own otherwise; the columns stay as they are."""

    def __len__(self) -> int:
        return int(self.manifest["count"])

    @property
    def num_actions(self) -> int:
        """A, what actions are below; 0 where they are continuous."""
        return int(self.manifest["num_actions"])

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """Of one observation."""
        return tuple(self.columns["observation"].shape[1:])

    @property
    def nbytes(self) -> int:
        """Of all columns."""
        return sum(column.nbytes for column in self.columns.values())

    def tensordict(self) -> TensorDict:
        """The columns as one, mapped: [M]."""
        return TensorDict(dict(self.columns), batch_size=[len(self)])

    def verify(self) -> None:
        """Reads every column once.

        Raises:
            DatasetError: one is not what was written, or holds actions that cannot be.
        """
        for name, column in self.columns.items():
            if crc32(column) != self.manifest["columns"][name]["crc32"]:
                raise DatasetError(f"{self.folder}: {name}.memmap is damaged")
        for name, least in (("action", 0), ("next_action", NO_ACTION)) if self.num_actions else ():
            column = self.columns[name]
            if column.min() < least or column.max() >= self.num_actions:
                raise DatasetError(f"{self.folder}: {name}.memmap holds actions beyond {self.num_actions}")

    def _map(self, name: str) -> Tensor:
        spec, count, path = self.manifest["columns"][name], len(self), self.folder / f"{name}.memmap"
        dtype, shape = DTYPES[spec["dtype"]], spec["shape"]
        numbers = count * math.prod(shape)
        if not path.is_file() or path.stat().st_size < numbers * dtype.itemsize:
            raise DatasetError(f"{self.folder}: {path.name} is missing or torn")
        # Not shared: the file may be read-only, and whatever becomes of the tensor stays in memory.
        return torch.from_file(str(path), shared=False, size=numbers, dtype=dtype).view(count, *shape)


def read_dataset(folder: str | os.PathLike[str]) -> Dataset:
    """Opens a dataset and reads all of it once; arguments and errors as `Dataset` and `Dataset.verify`."""
    dataset = Dataset(folder)
    dataset.verify()
    return dataset


def crc32(tensor: Tensor, before: int = 0) -> int:
    """The CRC-32 of a contiguous tensor's bytes, after those that gave `before`."""
    return zlib.crc32(memoryview(tensor.numpy()).cast("B"), before)


def write_json(path: Path, content: Any) -> None:
    """Publishes a JSON file by rename."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(to_json(content))
        file.flush()
        settle(file.fileno())
    replace(temporary, path)


def _read_manifest(path: Path) -> dict[str, Any]:
    """The content of a manifest.

    Raises:
        DatasetError: missing, damaged, of another format, or without a transition.
        OSError: it cannot be read.
    """
    if not path.is_file():
        raise DatasetError(f"{path.parent}: no dataset there: it has no {MANIFEST}")
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    try:
        manifest = from_json(content) if len(content) <= LARGEST else None
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict):
        raise DatasetError(f"{path}: damaged: not JSON, or not a manifest")
    if manifest.get("format") != FORMAT:
        raise DatasetError(
            f"{path}: dataset format {str(manifest.get('format'))!r:.40}, this version reads {FORMAT}"
        )
    problem = _problem(manifest)
    if problem is not None:
        raise DatasetError(f"{path}: damaged: {problem}")
    if not manifest["count"]:
        raise DatasetError(f"{path.parent}: holds no transition")
    return manifest


def _problem(manifest: dict[str, Any]) -> str | None:
    """What of a manifest cannot be."""
    for name in ("count", "num_actions"):
        if type(manifest.get(name)) is not int or not 0 <= manifest[name] < 2**63:
            return f"{name} is no count"
    columns = manifest.get("columns")
    if not isinstance(columns, dict) or set(columns) != set(COLUMNS):
        return f"columns must be {', '.join(COLUMNS)}"
    for name, spec in columns.items():
        if not isinstance(spec, dict) or not _is_column(name, spec):
            return f"{name} is of another kind"
    for name in ("observation", "action"):
        if columns[name]["shape"] != columns[f"next_{name}"]["shape"]:
            return f"next_{name} is of another shape than {name}"
    for name in ("action", "next_action"):
        kind, discrete = columns[name]["dtype"], manifest["num_actions"] > 0
        if kind != ("torch.int64" if discrete else "torch.float32") or (discrete and columns[name]["shape"]):
            return f"{name} is of another kind"
    return None


def _is_column(name: str, spec: dict[str, Any]) -> bool:
    shape, dtype = spec.get("shape"), spec.get("dtype")
    if not isinstance(shape, list) or not all(type(size) is int and 0 < size < 2**31 for size in shape):
        return False
    if not isinstance(dtype, str) or dtype not in DTYPES or type(spec.get("crc32")) is not int:
        return False
    return name not in KINDS or (shape == [] and DTYPES[dtype] == KINDS[name])
