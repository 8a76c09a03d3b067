"""A folder's seal: the size and SHA-256 of each of its files, so that a torn or changed one is never read.

The seal is one file of two lines: the digest of the second, and the second, which is JSON. Whoever wrote a
folder may vouch for anything in it, so a seal proves that it is whole, and not who it came from.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catzoo.hparams.published_files import sync

SEAL = "seal.json"
LARGEST = 1 << 24
"""Bytes of a seal that are read at most."""


class BrokenSealError(ValueError):
    """A folder that is not what was sealed."""


def digest(path: Path) -> tuple[int, str]:
    """A file's size in bytes and its SHA-256."""
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: Path, about: Mapping[str, Any], known: Mapping[str, tuple[int, str]] | None = None) -> None:
    """Seals a folder as it is, and sees that all of it is on the disk.

    Args:
        folder: with files in it, at any depth.
        about: plain data to seal with it.
        known: digests of files, by path in the folder, that need not be read again; those are on the disk.
    """
    known = known or {}
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SEAL):
        name = path.relative_to(folder).as_posix()
        if name not in known:
            sync(path)
        files[name] = known.get(name) or digest(path)
    text = json.dumps({**about, "files": files})
    target = folder / SEAL
    target.write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n", encoding="utf-8")
    sync(target)
    for place in [*(path for path in folder.rglob("*") if path.is_dir()), folder]:
        sync(place)


def read_seal(folder: Path) -> dict[str, Any]:
    """What a folder was sealed with, `files` by name included; the files themselves are not looked at.

    Raises:
        BrokenSealError: there is none, or it is not whole.
    """
    if not (folder / SEAL).is_file():
        raise BrokenSealError(f"{folder.name}: has no seal: saved by an earlier version of catzoo, or torn")
    try:
        with (folder / SEAL).open("rb") as file:
            line, _, text = file.read(LARGEST).partition(b"\n")
    except OSError as error:
        raise BrokenSealError(f"{folder.name}: {error.strerror}") from None
    text = text.removesuffix(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != line:
        raise BrokenSealError(f"{folder.name}: its seal is torn")
    try:
        sealed = json.loads(text)
        files = {str(name): (int(size), str(sha)) for name, (size, sha) in sealed["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise BrokenSealError(f"{folder.name}: its seal is of another kind") from None
    return {**sealed, "files": files}


def verify(folder: Path) -> dict[str, Any]:
    """What a folder was sealed with, after every file in it was compared; sizes first.

    Raises:
        BrokenSealError: a file is missing, torn, changed, or another one.
    """
    sealed = read_seal(folder)
    for name, (size, _) in sealed["files"].items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise BrokenSealError(f"{folder.name}: names a file outside of it")
        if not path.is_file() or path.stat().st_size != size:
            raise BrokenSealError(f"{folder.name}: {name} is missing or torn")
    for name, expected in sealed["files"].items():
        if digest(folder / name) != expected:
            raise BrokenSealError(f"{folder.name}: {name} was changed")
    return sealed
