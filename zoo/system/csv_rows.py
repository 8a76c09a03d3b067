"""Rows of CSV files: read, written by rename, cut back, and the newest one. Imports nothing heavy."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from catzoo.hparams.published_files import replace

EPISODE = ("step", "return", "length")
"""What is known of a training episode; of several games `game` as well."""
LARGEST_RETURN = 1e100
"""No sum of rewards that float32 holds comes near it, and its square is finite."""
TAIL = 8192
"""Bytes at the end of a file in which its newest rows are looked for."""


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, as far as they can be read; none if it is missing."""
    rows: list[dict[str, str]] = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8", errors="replace") as file, suppress(csv.Error):
            rows.extend(csv.DictReader(file))
    return rows


def write_rows(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    """Writes a CSV file by rename."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    replace(temporary, path)


def step_of(row: dict[str, str]) -> int | None:
    """The step of a row; None if it is not a number, or the row is torn."""
    step = row.get("step") or ""
    whole = None not in row.values() and None not in row
    return int(step) if whole and step.isascii() and step.isdecimal() and len(step) < 19 else None


def number_of(cell: str | None) -> float:
    """The number in a cell; NaN where it is missing, torn, or none that a run could have written."""
    try:
        number = float(cell or "nan")
    except ValueError:
        return math.nan
    return number if abs(number) <= LARGEST_RETURN else math.nan


def put_aside(path: Path, columns: Collection[str]) -> Path | None:
    """Renames a CSV file whose header lacks some columns, so that another is begun; returns its name."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        header = file.readline(TAIL).decode(errors="replace").strip().split(",")
    if set(columns) <= set(header):
        return None
    damaged = path.with_name(path.name + ".damaged")
    path.replace(damaged)
    return damaged


def cut_after(path: Path, step: int) -> None:
    """Drops the rows after `step`, which belong to work that a continued run does again, and torn ones."""
    rows = read_rows(path)
    kept = [row for row in rows if (own := step_of(row)) is not None and own <= step]
    if len(kept) < len(rows) or (rows and not path.read_bytes().endswith(b"\n")):
        write_rows(path, [column for column in rows[0] if column], kept)


def newest_row(path: Path, column: str) -> dict[str, str]:
    """The newest row that has a value in `column`, from the file's end; empty if there is none."""
    try:
        with path.open("rb") as file:
            header = file.readline()
            size = file.seek(0, os.SEEK_END)
            start = max(len(header), size - TAIL)
            file.seek(start)
            tail = file.read()
    except OSError:
        return {}
    columns = header.decode(errors="replace").strip().split(",")
    lines = tail.decode(errors="replace").split("\n")
    # The last piece is empty, or a row that is being written; the first may have lost its beginning.
    whole = lines[1 if start > len(header) else 0 : -1]
    for line in reversed(whole):
        cells = line.rstrip("\r").split(",")
        if len(cells) == len(columns):
            row = dict(zip(columns, cells, strict=True))
            if row.get(column):
                return row
    return {}


class GrowingRows:
    """The rows of a CSV file that somebody writes, each of them read once.

    Args:
        path: the file, which may not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: tuple[int, bytes] | None = None
        """Which file it is, as another may take its place: its number, and its header."""
        self.end = 0
        """Bytes that were read."""

    def read(self) -> tuple[bool, list[dict[str, str]]]:
        """Whether it is another file than before, all of whose rows these are; and the rows that are new."""
        try:
            with self.path.open("rb") as file:
                there = (os.fstat(file.fileno()).st_ino, file.readline())
                another = there != self.file or file.seek(0, os.SEEK_END) < self.end
                self.file, start = there, len(there[1]) if another else self.end
                file.seek(start)
                whole = file.read().rpartition(b"\n")[0]  # without a row that is being written
        except OSError:
            return False, []
        self.end = start + len(whole) + (1 if whole else 0)
        columns = there[1].decode(errors="replace").strip().split(",")
        text = whole.decode(errors="replace")
        lines = (line.rstrip("\r").split(",") for line in (text.split("\n") if text else ()))
        return another, [
            dict(zip(columns, cells, strict=True)) for cells in lines if len(cells) == len(columns)
        ]
