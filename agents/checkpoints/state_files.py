"""A component's state as two files that no one has to trust: JSON, and safetensors for what JSON cannot hold.

TorchRL's own adapter writes a memory-mapped TensorDict, a file per tensor, and reading one back may
unpickle. Here a state is nested dictionaries, lists and tuples of numbers, strings, tensors and arrays;
anything else is refused when it is saved, and reading runs nothing.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torchrl.checkpoint import CheckpointAdapter

TREE, TENSORS = "state.json", "state.safetensors"
MARK = "$"
"""Begins the one key of a mapping that stands for something JSON has no word for."""
LARGEST = 1 << 26
"""Bytes of JSON at most; tensors are in the other file."""
LONG = 64
"""Numbers in a list from which on it is kept as a tensor."""


def write_state(folder: Path, state: Any) -> None:
    """Writes a state to a folder.

    Raises:
        TypeError: something in it that is neither plain data nor a tensor nor an array.
        ValueError: more plain data than `read_state` would read.
        OSError: it cannot be written.
    """
    tensors: dict[str, torch.Tensor] = {}
    tree = _encode(state, tensors)
    text = json.dumps(tree, allow_nan=False).encode()
    if len(text) > LARGEST:
        raise ValueError(f"a state of {len(text) >> 20} MB of JSON cannot be saved: keep it in arrays")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TREE).write_bytes(text)
    save_tensors(tensors, folder / TENSORS)


def check_state(state: Any) -> None:
    """Raises TypeError for something in a state that `write_state` cannot write."""
    _encode(state, {})


def save_tensors(
    tensors: Mapping[str, torch.Tensor], path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes a safetensors file.

    Raises:
        OSError: it cannot be written.
    """
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(dict(tensors), path, metadata=None if metadata is None else dict(metadata))
    except SafetensorError as error:
        path.unlink(missing_ok=True)
        number = re.search(r"\(os error (\d+)\)", str(error))  # all that the library says of the cause
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None
    with contextlib.suppress(OSError):  # some file systems have no modes
        path.chmod(mode)  # the library's own lets nobody else read


def read_state(folder: Path) -> Any:
    """Reads a state, tensors on the CPU.

    Raises:
        ValueError, OSError, SafetensorError: not what `write_state` wrote.
    """
    with (folder / TREE).open("rb") as file:
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise ValueError(f"{TREE} has more than {LARGEST >> 20} MB")
    try:
        return _decode(json.loads(text), load_file(folder / TENSORS))
    except RecursionError:
        raise ValueError(f"{TREE} is nested too deeply") from None


class StateFiles(CheckpointAdapter):
    """TorchRL's adapter for components with `state_dict` and `load_state_dict`, in these files."""

    adapter_id = "catzoo.state_files"

    def save(self, component: Any, path: Path, *, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Writes `component.state_dict()`."""
        write_state(path, component.state_dict())

    def load(
        self,
        component: Any,
        path: Path,
        *,
        map_location: Any,
        tensor_load_kwargs: Mapping[str, Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        """Hands what was written to `component.load_state_dict`."""
        component.load_state_dict(read_state(path))


def _encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if type(value) is float and not math.isfinite(value):
        return {f"{MARK}float": str(value)}
    if value is None or isinstance(value, bool | str) or type(value) in (int, float):
        return value
    if isinstance(value, torch.Tensor):
        return {f"{MARK}tensor": _keep(value.detach().cpu().contiguous().clone(), tensors)}
    if isinstance(value, np.ndarray | np.generic):
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        return {MARK + kind: _keep(torch.from_numpy(np.array(value, order="C")), tensors)}
    if isinstance(value, tuple):
        return {f"{MARK}tuple": [_encode(item, tensors) for item in value]}
    if isinstance(value, list):
        numbers = _numbers(value)
        if numbers is not None:
            return {f"{MARK}list": _keep(numbers, tensors)}
        return [_encode(item, tensors) for item in value]
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith(MARK) for key in value):
            return {key: _encode(item, tensors) for key, item in value.items()}
        pairs = [[_encode(key, tensors), _encode(item, tensors)] for key, item in value.items()]
        return {f"{MARK}mapping": pairs}
    raise TypeError(f"a {type(value).__name__} cannot be saved: {value!r:.80}")


def _numbers(value: list[Any]) -> torch.Tensor | None:
    """A long list of nothing but whole numbers, or nothing but floats, as a tensor."""
    if len(value) < LONG or len(kinds := set(map(type, value))) > 1:
        return None
    kind = {int: torch.int64, float: torch.float64}.get(kinds.pop())
    if kind is None or (kind is torch.int64 and max(map(abs, value)) >= 2**63):
        return None
    return torch.tensor(value, dtype=kind)


def _keep(tensor: torch.Tensor, tensors: dict[str, torch.Tensor]) -> str:
    name = str(len(tensors))
    tensors[name] = tensor
    return name


def _decode(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    marked = next(iter(value), "")
    if not marked.startswith(MARK):
        return {key: _decode(item, tensors) for key, item in value.items()}
    kind, held = marked.removeprefix(MARK), value[marked]
    if kind == "tuple":
        return tuple(_decode(item, tensors) for item in held)
    if kind == "mapping":
        return {_decode(key, tensors): _decode(item, tensors) for key, item in held}
    if kind == "float":
        return float(held)
    if kind == "tensor":
        return tensors[held]
    if kind == "list":
        return tensors[held].tolist()
    if kind in ("array", "scalar"):
        return tensors[held].numpy() if kind == "array" else tensors[held].numpy()[()]
    raise ValueError(f"{marked} is not a kind of value")
