"""`catzoo scores`: prints, writes and draws what `gather` finds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from catzoo.hparams import RecipeError
from catzoo.hparams.paths import Typed, path_of
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.reporting.finished_runs import (
    Folders,
    Row,
    _summarise,
    find_runs,
    grouped,
    nothing_finished,
    sort_runs,
)
from catzoo.zoo.statistics.intervals import FEW
from catzoo.zoo.system.atomic_files import writing
from catzoo.zoo.system.console import print_table, say, waiting
from catzoo.zoo.system.csv_rows import write_rows
from catzoo.zoo.system.digits import with_interval


def print_scores(folders: Folders, out: Typed | None = None, curves: Typed | None = None) -> list[Row]:
    """Prints what `gather` finds, and how many runs are not finished.

    Args:
        folders: see `gather`.
        out: a CSV file of one row a run.
        curves: a PNG of the learning curves, see `draw_curves`.

    Raises:
        RecipeError: see `gather`, or a file cannot be written.
    """
    out = None if out is None else path_of(out)
    curves = None if curves is None else path_of(curves)
    if curves is not None and curves.suffix.lower() != ".png":
        raise RecipeError(f"{curves}: the picture of the curves must be a .png file")
    with waiting("reading runs"):
        runs = find_runs(folders)
        found = sort_runs(runs)
        finished, unfinished = found.finished, len(found.unfinished)
        rows = _summarise(finished)
    if rows:
        _print(rows)
    if unfinished:
        say(f"{unfinished} of {len(runs)} runs {'is' if unfinished == 1 else 'are'} not finished")
    cut = sum(bool(result.get("cut")) for _, result in finished)
    if cut:
        say(
            f"{cut} of {len(finished)} finished runs were evaluated on episodes that were cut: see `cut` in "
            "their result.json"
        )
    if found.copies:
        say(f"{len(found.copies)} of {len(runs)} runs repeat a recipe and seed, and count once")
    if (out is not None or curves is not None) and not finished:
        raise nothing_finished(found)
    if out is not None:
        _write(finished, out)
        say(f"{out}: a row for each of {len(finished)} finished runs")
    if curves is not None:
        with waiting("drawing curves"):
            _draw(finished, curves)
        say(f"{curves}: learning curves of {len(finished)} finished runs")
    return rows


def _print(rows: Sequence[Row]) -> None:
    differs = any(row["differs"] for row in rows)
    alone = any(row["interval"] == "episodes" for row in rows)
    columns = ["environment", "agent", "loss", "steps", *(["recipe"] if differs else []), "seeds",
               "mean return", "95 % over seeds", "protocol"]  # fmt: skip
    cells = []
    for row in rows:
        mean, interval = with_interval(row["mean_return"], row["low_95"], row["high_95"])
        interval += "*" if row["interval"] == "episodes" else ""
        cells.append([row["env"], row["agent"], row["loss"], f"{row['steps']:,}",
                      *([row["differs"]] if differs else []), row["seeds"], mean, interval,
                      row["protocol"]])  # fmt: skip
    few = any(1 < row["seeds"] < FEW for row in rows)
    notes = [f"over fewer than {FEW} seeds: Student's t; else a bootstrap"] if few else []
    notes += (
        ["* one seed: bootstrap over its episodes, which says nothing about other seeds"] if alone else []
    )
    note = "\n".join(notes)
    print_table("Scores (greedy return, mean over seeds)", columns, cells, note=note)


def _write(runs: Sequence[tuple[Run, Row]], out: Path) -> None:
    from catzoo.zoo.reporting.score_rows import COLUMNS, row_of

    rows = [row_of(run, result) for run, result in runs]
    with writing(out):
        write_rows(out, COLUMNS, rows)


def _draw(runs: Sequence[tuple[Run, Row]], out: Path) -> None:
    from catzoo.zoo.pictures.curves_over_seeds import draw_curves

    groups = [(about, [run for run, _ in members]) for about, members in grouped(runs)]
    with writing(out):
        draw_curves(groups, out)
