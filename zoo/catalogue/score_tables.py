"""The zoo's measured scores."""

from __future__ import annotations

import csv

from catzoo.zoo import ROOT

SCORES = ROOT / "results" / "scores.csv"
"""One row a run: env, agent, loss, seed, steps, mean_return, episodes, protocol, date, command."""
TABLES = (SCORES, *(SCORES.with_name(f"{name}.csv") for name in ("minatar", "minatar-table", "atari-100k")))
"""The files of such rows that `catzoo list` and `show` print."""


def scores(agent: str | None = None) -> list[dict[str, str]]:
    """Measured scores, one mapping a run, of one agent or of all."""
    rows: list[dict[str, str]] = []
    for table in TABLES:
        if table.exists():
            with table.open(newline="", encoding="utf-8") as file:
                rows += csv.DictReader(file)
    return [row for row in rows if agent is None or row["agent"] == agent]
