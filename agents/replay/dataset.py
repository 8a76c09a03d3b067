"""A dataset on disk: for agents that learn without an environment.

| file | holds |
|---|---|
| `manifest.json` | the kind and number of items, their columns with a CRC-32 each, and where they are from |
| `NAME.memmap` | a column, as raw little-endian numbers |
| `meta.json` | of recorded transitions: lets `TensorDict.load_memmap` read them too |

There are three kinds. M is the number of items; a dataset may have more columns than its kind asks for.

| kind | column | what |
|---|---|---|
| transitions | observation, next_observation | [M, ...], as the environment gave them |
| | action | [M], int64; [M, ...], float32, where actions are continuous |
| | reward | [M], float32, neither clipped nor discounted |
| | terminated | [M], bool |
| | next_action | as action, what the same policy did next; -1 or NaN where the episode ended or was cut |
| sequences | tokens | [M, L], uint8, an episode each |
| | action | [M, T], int8, its choices in order; -1 after its end |
| | reward | [M, T], float32, of each choice |
| positions | board | [M, L], uint8 |
| | offset | [M], int64, where the one or more moves of each position end; they begin where those before end |
| | move | [P, ...], uint8, the moves of all positions, one after the other |
| | value | [P], float32, what each of them is worth |

A dataset may come from anyone: it is read by its manifest alone, which is plain data, as raw numbers
(`load_memmap` may unpickle). The CRC tells a damaged file, and not whose it is. Format 1 had transitions
only.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from catzoo.agents.replay.dataset_kinds import DTYPES, NO_ACTION, problem_of
from catzoo.hparams import RecipeError
from catzoo.hparams.json_text import from_json, to_json
from catzoo.hparams.paths import path_of
from catzoo.hparams.published_files import replace, settle

FORMATS = (1, 2)
"""Versions of the folder's layout that are read; the last is written."""
MANIFEST, META = "manifest.json", "meta.json"
LARGEST = 1 << 24
"""Bytes of a manifest at most."""


class DatasetError(ValueError):
    """A folder that is no dataset, or a damaged one; the message is one line."""


class Dataset:
    """A dataset, mapped and never written to.

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
            self.columns = {name: self._map(name) for name in self.manifest["columns"]}
        except RecipeError as error:  # no name
            raise DatasetError(str(error)) from None
        except OSError as error:
            raise DatasetError(f"{self.folder}: {error.strerror or error}") from None
        self.action_numbers: Sequence[int] | None = None
        """Of each action, [A], where an agent counts its own otherwise; the columns stay as they are."""

    def __len__(self) -> int:
        return int(self.manifest["count"])

    @property
    def kind(self) -> str:
        """One of `dataset_kinds.KINDS`."""
        return str(self.manifest["kind"])

    @property
    def num_actions(self) -> int:
        """A, what actions are below; 0 where they are continuous, or no one number."""
        return int(self.manifest.get("num_actions", 0))

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """Of one observation."""
        return tuple(self.columns["observation"].shape[1:])

    @property
    def nbytes(self) -> int:
        """Of all columns."""
        return sum(column.nbytes for column in self.columns.values())

    def tensordict(self) -> TensorDict:
        """The columns of a dataset of transitions as one, mapped: [M]."""
        return TensorDict(dict(self.columns), batch_size=[len(self)])

    def verify(self) -> None:
        """Reads every column once.

        Raises:
            DatasetError: one is not what was written, or holds actions that cannot be.
        """
        for name, column in self.columns.items():
            if crc32(column) != self.manifest["columns"][name]["crc32"]:
                raise DatasetError(f"{self.folder}: {name}.memmap is damaged")
        numbered = self.kind == "transitions" and self.num_actions
        for name, least in (("action", 0), ("next_action", NO_ACTION)) if numbered else ():
            column = self.columns[name]
            if column.min() < least or column.max() >= self.num_actions:
                raise DatasetError(f"{self.folder}: {name}.memmap holds actions beyond {self.num_actions}")
        if self.kind == "positions":
            ends = self.columns["offset"]
            rising = (ends.diff() > 0).all() and ends[0] > 0
            if not rising or any(len(self.columns[name]) != ends[-1] for name in ("move", "value")):
                raise DatasetError(f"{self.folder}: offset.memmap does not fit the moves")

    def _map(self, name: str) -> Tensor:
        spec, path = self.manifest["columns"][name], self.folder / f"{name}.memmap"
        dtype, shape, count = DTYPES[spec["dtype"]], spec["shape"], spec.get("rows", len(self))
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


def write_dataset(
    folder: str | os.PathLike[str],
    kind: str,
    columns: Mapping[str, Tensor],
    about: Mapping[str, Any],
    *,
    ragged: Collection[str] = (),
) -> Dataset:
    """Writes a whole dataset, its manifest last, so that half a one is none.

    Args:
        folder: made if it is not there; the files of an earlier start are written over.
        kind: one of `dataset_kinds.KINDS`.
        columns: by name, on the host.
        about: plain data for the manifest, such as where the data are from; of discrete transitions
            `num_actions` too.
        ragged: columns whose rows are counted for themselves, as `offset` says.

    Raises:
        ValueError: columns that are not of this kind.
        OSError: it cannot be written.
    """
    folder = Path(folder)
    count = next((len(column) for name, column in columns.items() if name not in ragged), 0)
    specs = {
        name: {"shape": list(column.shape[1:]), "dtype": str(column.dtype), "crc32": crc32(column)}
        | ({"rows": len(column)} if name in ragged else {})
        for name, column in columns.items()
    }
    manifest = {**about, "format": FORMATS[-1], "kind": kind, "count": count, "columns": specs}
    problem = problem_of(manifest)
    if problem is None and any(len(columns[name]) != specs[name].get("rows", count) for name in columns):
        problem = "columns are of different lengths"
    if problem is not None:
        raise ValueError(problem)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    for name, column in columns.items():
        with (folder / f"{name}.memmap").open("wb") as file:
            file.write(memoryview(column.contiguous().numpy()).cast("B"))
            file.flush()
            settle(file.fileno())
    write_json(folder / MANIFEST, manifest)
    return Dataset(folder)


def crc32(tensor: Tensor, before: int = 0) -> int:
    """The CRC-32 of a tensor's bytes, after those that gave `before`."""
    return zlib.crc32(memoryview(tensor.contiguous().numpy()).cast("B"), before)


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
    if manifest.get("format") not in FORMATS:
        known = " and ".join(map(str, FORMATS))
        raise DatasetError(
            f"{path}: dataset format {str(manifest.get('format'))!r:.40}, this version reads {known}"
        )
    if manifest["format"] == 1:
        manifest = {**manifest, "kind": "transitions"}
    problem = problem_of(manifest)
    if problem is not None:
        raise DatasetError(f"{path}: damaged: {problem}")
    if not manifest["count"]:
        raise DatasetError(f"{path.parent}: holds nothing")
    return manifest
