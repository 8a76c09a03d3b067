"""`report`: a page, pictures and tables from the folders of many runs. Imports no torch."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

from catzoo.hparams import RecipeError
from catzoo.hparams.paths import Typed, path_of
from catzoo.zoo.reporting.comparison import compare_runs
from catzoo.zoo.reporting.finished_runs import Folders, named
from catzoo.zoo.reporting.page import MARK, left_out, page
from catzoo.zoo.reporting.published_scores import beside
from catzoo.zoo.reporting.report_pictures import PICTURES, draw_pictures
from catzoo.zoo.reporting.score_rows import COLUMNS
from catzoo.zoo.reporting.summary import TITLES, Estimate, summarise
from catzoo.zoo.reporting.tables import (
    AGGREGATE_COLUMNS,
    ENVIRONMENT_COLUMNS,
    aggregate_rows,
    as_text,
    environment_rows,
    estimate_text,
    markdown,
    score_rows,
)
from catzoo.zoo.system.atomic_files import write_atomically, writing
from catzoo.zoo.system.console import pasteable, print_table, say
from catzoo.zoo.system.csv_rows import write_rows

PAGE = "index.html"
TABLES = ("scores.csv", "aggregates.csv", "per_environment.csv", "table.md")


def report(runs: Folders, out: Typed) -> dict[str, Any]:
    """Compares finished runs, and writes a page, pictures and tables about them into a folder.

    Groups are agents, losses and recipes; aggregates are over the environments that every group has. A report
    that is in the folder already is replaced, file by file.

    Args:
        runs: a run's folder, a folder with runs at any depth, or several of either.
        out: the folder: index.html, scores.csv, aggregates.csv, per_environment.csv, table.md, PNG pictures.

    Returns:
        `page` (the path of index.html), `files` (all paths), `aggregates` and `environments` (the rows of
        those files), and `notes` (what was left out, in sentences).

    Raises:
        RecipeError: no run, none finished, a corrupt one, runs that cannot be compared, or a folder that
            cannot be written or has files of these names that are no report's. Nothing is written.
    """
    folders = list(map(path_of, [runs] if isinstance(runs, str | os.PathLike) else runs))
    folder = path_of(out)
    comparison = compare_runs(folders)
    is_ours = _refuse_strangers(folder)
    summary = summarise(comparison)
    environments = environment_rows(comparison, others := beside(comparison))
    command = pasteable("catzoo", "report", *folders, "--out", folder)
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    aggregates, scores = aggregate_rows(summary), score_rows(comparison)
    with writing(folder / PAGE):
        if not is_ours:  # first, so that after a kill in the middle the folder is known
            write_atomically(folder / PAGE, MARK)
        pictures = draw_pictures(comparison, summary, folder)
        for stale in {folder / name for name in PICTURES} - set(pictures):
            stale.unlink(missing_ok=True)
        write_rows(folder / "scores.csv", COLUMNS, scores)
        write_rows(folder / "aggregates.csv", AGGREGATE_COLUMNS, as_text(aggregates, AGGREGATE_COLUMNS))
        write_rows(
            folder / "per_environment.csv", ENVIRONMENT_COLUMNS, as_text(environments, ENVIRONMENT_COLUMNS)
        )
        write_atomically(folder / "table.md", markdown(comparison, summary, environments))
        text = page(comparison, summary, environments, others, pictures, command=command, date=date)
        write_atomically(folder / PAGE, text)
    tables = [folder / name for name in TABLES]
    return {
        "page": folder / PAGE,
        "files": [folder / PAGE, *pictures, *tables],
        "aggregates": aggregates,
        "environments": [{key: row.get(key) for key in ENVIRONMENT_COLUMNS} for row in environments],
        "notes": [*left_out(comparison), *summary.notes],
    }


def print_report(made: dict[str, Any]) -> None:
    """Prints what `report` returned: the aggregates, what was left out, and where it is."""
    rows = [row for row in made["aggregates"] if row["aggregate"] in TITLES]
    if rows:
        names = list(dict.fromkeys(row["aggregate"] for row in rows))
        recipes = ["recipe"] if any(row["recipe"] for row in rows) else []
        about = ["agent", "loss", *recipes]
        cells: dict[tuple[str, ...], dict[str, str]] = {}
        for row in rows:
            estimate = Estimate(row["value"], row["low_95"], row["high_95"])
            group = tuple(row[key] for key in about)
            cells.setdefault(group, {"seeds": str(row["seeds"])})[row["aggregate"]] = estimate_text(estimate)
        envs, alone = rows[0]["environments"], any(row["seeds"] == 1 for row in rows)
        print_table(
            f"Aggregates ({rows[0]['scale']}, {envs} environment{'s' * (envs > 1)})",
            [*about, *(TITLES[name] for name in names), "seeds"],
            [[*group, *(found[name] for name in names), found["seeds"]] for group, found in cells.items()],
            note="95 % intervals: stratified bootstrap over seeds"
            + ("; of one seed there is none" if alone else ""),
        )
    for note in made["notes"]:
        say(note)
    others = named((path.name for path in made["files"][1:]), most=len(made["files"]))
    say(f"{made['page']}: the report; beside it {others}")


def _refuse_strangers(folder: Path) -> bool:
    """Refuses a folder with somebody else's files of our names; returns whether a report of ours is in it."""
    page = folder / PAGE
    try:
        with page.open("rb") as file:
            ours = MARK.encode() in file.read(4096)
    except FileNotFoundError:
        for name in (*TABLES, *PICTURES):
            if (folder / name).exists():
                problem = "is there already, and no report of ours beside it"
                raise RecipeError(f"{folder / name}: {problem}: choose another --out") from None
        return False
    except OSError as error:  # a folder
        raise RecipeError(f"{page}: cannot be written: {error.strerror or error}") from None
    if not ours:
        raise RecipeError(f"{page}: is there already, and not a report of ours: choose another --out")
    return True
