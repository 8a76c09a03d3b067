"""Rings of rows on disk, written incrementally: what was added since the last time, in files written once.

A checkpoint of a large replay would otherwise write gigabytes that have not changed. Here rows go to segment
files of some 32 MB as soon as there are enough of them, so that a checkpoint has little left to write; it
takes hard links of all segments that still matter, and is a folder that is whole on its own. Nothing that a
checkpoint refers to is ever written again, and it costs the disk only what the next one does not share.

A ring counts the rows that were ever added to it; row n lies in place n mod size until row n + size comes.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from safetensors.torch import load_file
from torch import Tensor

from catzoo.agents.checkpoints.seal import digest
from catzoo.agents.checkpoints.state_files import save_tensors
from catzoo.hparams.published_files import replace, sync

SEGMENT_BYTES = 32 << 20
"""Of rows in a segment: 60 ms of a disk that writes 500 MB a second."""
NAME = re.compile(r"([a-z]+)-([0-9]{1,18})-([0-9]{1,18})\.safetensors")


class Ring(Protocol):
    """What a journal keeps."""

    size: int
    """Places."""
    count: int
    """Rows that were ever added."""

    def row_bytes(self) -> int:
        """Of a row; 0 before the first."""

    def rows(self, start: int, stop: int) -> dict[str, Tensor]:
        """Rows `start` to `stop` of those still there, by column, contiguous, on the CPU."""

    def put(self, start: int, rows: dict[str, Tensor]) -> None:
        """Writes rows where `rows` would read them; in order, and `count` already counts them."""


@dataclass(frozen=True)
class Segment:
    """A file of rows."""

    ring: str
    start: int
    stop: int
    digest: tuple[int, str]

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.ring}-{self.start:012d}-{self.stop:012d}.safetensors"


class Journal:
    """Segments of some rings, in a folder of their own.

    Args:
        folder: where they lie between checkpoints; whatever is in it is not kept.
        rings: by name, of lower-case letters.
        segment_bytes: rows to a segment, in bytes.
    """

    def __init__(self, folder: Path, rings: Mapping[str, Ring], segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder, self.rings, self.segment_bytes = folder, dict(rings), segment_bytes
        self.segments: dict[str, list[Segment]] = {name: [] for name in rings}
        self.digests: dict[str, tuple[int, str]] = {}
        """Of the files that `restore` reads, by name: they are verified already."""

    def spill(self, everything: bool = False) -> None:
        """Writes the segments that are full, with `everything` the rest too; drops what is overwritten."""
        for name, ring in self.rings.items():
            limit = max(self.segment_bytes // max(ring.row_bytes(), 1), 1)
            segments = self.segments[name]
            oldest = max(ring.count - ring.size, 0)
            start = max(segments[-1].stop if segments else 0, oldest)
            while ring.count - start >= limit:
                self._write(name, start, start + limit)
                start += limit
            if everything and start < ring.count:
                # As a binary counter adds: many small checkpoints do not end in many small files.
                while segments and self._small(segments[-1], ring.count, limit):
                    start = max(self._drop(segments.pop()).start, oldest)
                self._write(name, start, ring.count)
            while segments and segments[0].stop <= oldest:
                self._drop(segments.pop(0))

    @staticmethod
    def _small(last: Segment, count: int, limit: int) -> bool:
        return last.stop - last.start <= count - last.stop and count - last.start <= limit

    def _write(self, name: str, start: int, stop: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / "segment.tmp"
        save_tensors(self.rings[name].rows(start, stop), temporary)
        sync(temporary)
        segment = Segment(name, start, stop, digest(temporary))
        replace(temporary, self.folder / segment.name)
        self.segments[name].append(segment)

    def _drop(self, segment: Segment) -> Segment:
        (self.folder / segment.name).unlink(missing_ok=True)
        return segment

    def link_into(self, folder: Path) -> None:
        """Gives a folder all segments, as hard links where the file system has them."""
        folder.mkdir(parents=True, exist_ok=True)
        for segment in self.all():
            link(self.folder / segment.name, folder / segment.name)

    def all(self) -> list[Segment]:
        """Every segment, ring by ring, oldest first."""
        return [segment for segments in self.segments.values() for segment in segments]

    def restore(self, folder: Path) -> None:
        """Fills the rings, whose `count` is set already, from a folder that `link_into` filled.

        One segment at a time is in memory beside the rings. The journal goes on from these segments, whose
        `digests` are known.

        Raises:
            ValueError: rows are missing, or are of another shape.
        """
        self.clear()
        self.folder.mkdir(parents=True)
        found = sorted(
            (match[1], int(match[2]), int(match[3]))
            for match in (NAME.fullmatch(path.name) for path in folder.iterdir())
            if match
        )
        for name, ring in self.rings.items():
            end = oldest = max(ring.count - ring.size, 0)
            for _, start, stop in (segment for segment in found if segment[0] == name):
                segment = Segment(name, start, stop, (0, ""))
                path = folder / segment.name
                if not (start <= end < stop <= ring.count):
                    raise ValueError(f"{path.name} does not follow on row {end} of {ring.count}")
                ring.put(start, load_file(path))
                end = stop
                link(path, self.folder / segment.name)
                self.segments[name].append(Segment(name, start, stop, self.digests[path.name]))
            if end < ring.count:
                raise ValueError(f"rows {max(end, oldest)} to {ring.count} of {name} are missing")

    def clear(self) -> None:
        """Forgets all segments."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.segments = {name: [] for name in self.rings}


def link(source: Path, target: Path) -> None:
    """A hard link, or a copy where there are none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        sync(target)
