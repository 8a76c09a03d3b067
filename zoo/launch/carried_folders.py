"""Folders that travel between machines that share none: packed, sent in parts, put in their place."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

PART = 32 << 20
"""Bytes of a part."""


def pack(file: Path, root: Path, places: Sequence[Path]) -> int:
    """Writes those of some folders and files below `root` that exist to a file; returns its size in bytes."""
    with tarfile.open(file, "w") as archive:
        for place in places:
            if os.path.lexists(place):
                archive.add(place, place.relative_to(root))
    return file.stat().st_size


def parts(size: int) -> Iterator[int]:
    """Where the parts of a file of so many bytes begin."""
    return iter(range(0, size, PART))


def read_part(file: Path, start: int) -> bytes:
    """A part of a file."""
    with file.open("rb") as opened:
        opened.seek(start)
        return opened.read(PART)


def write_part(file: Path, start: int, content: bytes) -> None:
    """Writes a part to its place; twice is as good as once."""
    with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as opened:
        opened.seek(start)
        opened.write(content)


def unpack(file: Path, root: Path) -> None:
    """Puts what was packed below another root."""
    root.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file) as archive:
        archive.extractall(root, filter="data")


def merge(arrived: Path, root: Path, folder: Path, log: Path) -> None:
    """Puts a folder and a log that were unpacked into the place of those that had been sent.

    Args:
        arrived: what was unpacked; it is on the same disk.
        root: where it belongs.
        folder: whose newer state it has, below `root`; the older one goes.
        log: what it has of it is added to this, below `root`.
    """
    said = arrived / log.relative_to(root)
    if said.exists():
        with log.open("ab") as whole, said.open("rb") as more:
            shutil.copyfileobj(more, whole)
    newer, before = arrived / folder.relative_to(root), _before(folder)
    if newer.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        put_back(folder)
        if folder.exists():
            os.rename(folder, before)
        os.rename(newer, folder)
        shutil.rmtree(before, ignore_errors=True)


def put_back(folder: Path) -> None:
    """Undoes what a kill has left of `merge`: the older state is there again if there is no newer one."""
    before = _before(folder)
    if before.exists() and not folder.exists():
        os.rename(before, folder)
    shutil.rmtree(before, ignore_errors=True)


def _before(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.before.tmp")
