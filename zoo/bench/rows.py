"""Rows of a benchmark: stamped with what made them, and written as CSV."""

from __future__ import annotations

import csv
import datetime
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catzoo.zoo.system.provenance import cpu_model, versions

Row = dict[str, Any]


def stamp(command: str) -> Row:
    """What is the same for every row."""
    return {
        "device": cpu_model(),
        "threads": 1,
        "versions": " ".join(f"{name} {version}" for name, version in versions().items()),
        "load": round(os.getloadavg()[0], 2),
        "date": datetime.date.today().isoformat(),
        "command": command,
    }


def write_results(file: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Writes rows to a CSV file; cells that a row lacks stay empty."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def resident_bytes() -> int:
    """Memory of this process that is in use."""
    import psutil

    return psutil.Process().memory_info().rss
