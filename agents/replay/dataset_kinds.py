"""The kinds of datasets, and what a manifest must say to be one of them; see `dataset.py`."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import torch

NO_ACTION = -1
"""The next action of a transition that has none, and a choice after a sequence's end."""
DTYPES = {
    str(dtype): dtype
    for dtype in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
                  torch.float16, torch.float32)
}  # fmt: skip
"""Of columns."""


class Column(NamedTuple):
    """What a column of a kind must be."""

    dtype: torch.dtype | None = None
    """None: any."""
    dims: int | None = None
    """Of one row's shape; None: any."""
    ragged: bool = False
    """Whether its rows are counted for themselves."""


KINDS: dict[str, dict[str, Column]] = {
    "transitions": {
        "observation": Column(),
        "action": Column(),
        "reward": Column(torch.float32, 0),
        "next_observation": Column(),
        "terminated": Column(torch.bool, 0),
        "next_action": Column(),
    },
    "sequences": {
        "tokens": Column(torch.uint8, 1),
        "action": Column(torch.int8, 1),
        "reward": Column(torch.float32, 1),
    },
    "positions": {
        "board": Column(torch.uint8, 1),
        "offset": Column(torch.int64, 0),
        "move": Column(torch.uint8, None, ragged=True),
        "value": Column(torch.float32, 0, ragged=True),
    },
}
"""The columns that a dataset of each kind has, by name."""


def problem_of(manifest: dict[str, Any]) -> str | None:
    """What of a manifest cannot be."""
    if not _is_count(manifest.get("count")):
        return "count is no count"
    kind, columns = manifest.get("kind"), manifest.get("columns")
    if not isinstance(kind, str) or kind not in KINDS:
        return f"kind must be {', '.join(KINDS)}"
    wanted = KINDS[kind]
    if not isinstance(columns, dict) or not columns.keys() >= wanted.keys():
        return f"columns must be {', '.join(wanted)}"
    for name, spec in columns.items():
        if not isinstance(spec, dict) or not _is_column(name, spec, wanted.get(name, Column())):
            return f"{name} is of another kind"
    return _problem_of_transitions(manifest, columns) if kind == "transitions" else None


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_column(name: str, spec: dict[str, Any], wanted: Column) -> bool:
    shape, dtype = spec.get("shape"), spec.get("dtype")
    if not re.fullmatch(r"\w{1,80}", name):  # a file's name
        return False
    if not isinstance(shape, list) or not all(type(size) is int and 0 < size < 2**31 for size in shape):
        return False
    if not isinstance(dtype, str) or dtype not in DTYPES or type(spec.get("crc32")) is not int:
        return False
    if wanted.ragged != ("rows" in spec) or not _is_count(spec.get("rows", 0)):
        return False
    return wanted.dtype in (None, DTYPES[dtype]) and wanted.dims in (None, len(shape))


def _problem_of_transitions(manifest: dict[str, Any], columns: dict[str, Any]) -> str | None:
    if not _is_count(manifest.get("num_actions")):
        return "num_actions is no count"
    for name in ("observation", "action"):
        if columns[name]["shape"] != columns[f"next_{name}"]["shape"]:
            return f"next_{name} is of another shape than {name}"
    for name in ("action", "next_action"):
        kind, discrete = columns[name]["dtype"], manifest["num_actions"] > 0
        if kind != ("torch.int64" if discrete else "torch.float32") or (discrete and columns[name]["shape"]):
            return f"{name} is of another kind"
    return None
