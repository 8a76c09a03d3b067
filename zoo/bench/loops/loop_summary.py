"""From rows of a training benchmark to what they say: medians, ratios with their spread, intervals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from catzoo.zoo.bench.rows import Row
from catzoo.zoo.statistics.intervals import student_interval
from catzoo.zoo.system.console import print_table as print_columns
from catzoo.zoo.system.console import say
from catzoo.zoo.system.digits import digits_of, number


def compare(rows: Sequence[Row], library: str, loss: str, base: str) -> list[float]:
    """Ratios of steps a second to another library's, seed by seed: runs that were neighbours in time."""
    theirs = {row["seed"]: row["steps_per_second"] for row in rows if row["library"] == base}
    return [
        row["steps_per_second"] / theirs[row["seed"]]
        for row in rows
        if row["library"] == library and row["loss"] == loss and row["seed"] in theirs
    ]


def summarise(rows: Sequence[Row]) -> list[Row]:
    """One mapping per side of every part, in the order of the rows.

    `ratio`, `ratio_low`, `ratio_high`: median, least and greatest over seeds of the ratio to
    Stable-Baselines3 (speed) or to the bare loop (overhead). `return_mean` with `return_half_width`, the
    95 % interval over seeds.
    """
    work = ("part", "agent", "env", "steps", "threads")
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["part"] in ("speed", "overhead"):
            groups.setdefault(tuple(row[name] for name in work), []).append(row)
    return [
        dict(zip(work, key, strict=True)) | _side(group, library, loss)
        for key, group in groups.items()
        for library, loss in dict.fromkeys((row["library"], row["loss"]) for row in group)
    ]


def _side(group: Sequence[Row], library: str, loss: str) -> Row:
    """What one side's rows say beside the others that did the same work."""
    own = [row for row in group if row["library"] == library and row["loss"] == loss]
    side: Row = {"library": library, "loss": loss, "runs": len(own)}
    for column in ("steps_per_second", "updates"):
        side[column] = statistics.median(row[column] for row in own)
    base = "sb3" if group[0]["part"] == "speed" else "bare loop"  # each has one loss
    ratios = compare(group, library, loss, base)
    if ratios and library != "catzoo pqn":  # whose work is another
        side |= {"ratio": statistics.median(ratios), "ratio_low": min(ratios), "ratio_high": max(ratios)}
    returns = [row["mean_return"] for row in own if isinstance(row.get("mean_return"), float)]
    if returns:
        side["return_mean"], side["return_half_width"] = student_interval(returns)
    return side


def print_table(rows: Sequence[Row]) -> None:
    """Prints the summary of every part that has rows."""
    summary = summarise(rows)
    _print_sides([side for side in summary if side["part"] == "speed"])
    _print_overhead([side for side in summary if side["part"] == "overhead"])
    learner = [row for row in rows if row["part"] == "learner"]
    if learner:
        cells = [
            (f"{row['library']}, {row['variant']}", row["threads"], f"{row['updates_per_second']:.1f}")
            for row in learner
        ]
        print_columns(f"{learner[0]['env']}: learner alone", ("learner", "threads", "updates/s"), cells)
    pipeline = [row for row in rows if row["part"] == "pipeline"]
    if pipeline:
        cells = [
            (
                name,
                f"{statistics.median(r['steps_per_second'] for r in pipeline if r['variant'] == name):,.0f}",
            )
            for name in dict.fromkeys(row["variant"] for row in pipeline)
        ]
        title = f"{pipeline[0]['env']}: threads and overlap, {pipeline[0]['threads']} cores"
        print_columns(title, ("torch", "steps/s"), cells, "median over seeds")
    _print_waiting([row for row in rows if row["part"] == "waiting"])
    share = [row for row in rows if row["part"] == "share"]
    if share:
        cells = [(f"{row['library']} {row['loss']}", row["variant"], f"{row['share']:.1%}") for row in share]
        title = f"{share[0]['agent']} on {share[0]['env']}: where the time goes"
        print_columns(title, ("side", "piece", "share"), cells)


def _print_waiting(rows: Sequence[Row]) -> None:
    rates: dict[str, dict[int, float]] = {}
    for row in rows:
        rates.setdefault(row["library"], {})[row["seed"]] = row["updates_per_second"]
    if rates:
        ratios = [rate / rates["catzoo spinning"][seed] for seed, rate in rates["catzoo"].items()]
        load = statistics.median(row["load"] for row in rows)
        say(
            f"Threads that sleep against threads that spin, {rows[0]['threads']} cores, load {load:.1f}, "
            f"{len(ratios)} pairs: {statistics.median(rates['catzoo'].values()):.1f} against "
            f"{statistics.median(rates['catzoo spinning'].values()):.1f} updates/s, "
            f"x {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        )


def _print_sides(sides: Sequence[Row]) -> None:
    if not sides:
        return
    cells = [
        (
            f"{side['library']} {side['loss']}",
            side["runs"],
            f"{side['steps_per_second']:,.0f}",
            _ratio(side),
            f"{side['updates']:,.0f}",
            _return(side),
        )
        for side in sides
    ]
    print_columns(
        f"{sides[0]['agent']} on {sides[0]['env']}: whole training runs of {sides[0]['steps']:,} steps, "
        f"{sides[0]['threads']} cores",
        ("side", "runs", "steps/s", "x sb3 (range)", "updates", "return ± 95 %"),
        cells,
        "steps/s: median over seeds; ratio: median over neighbouring runs; return: greedy, same episodes",
    )


def _print_overhead(sides: Sequence[Row]) -> None:
    for side in sides:
        if side["library"] == "catzoo" and "ratio" in side:
            costs = [100 * (1 / side[key] - 1) for key in ("ratio", "ratio_high", "ratio_low")]
            say(
                f"Lightning against the bare loop, {side['agent']} on {side['env']}, {side['runs']} pairs: "
                f"{costs[0]:+.1f} % time ({costs[1]:+.1f} to {costs[2]:+.1f} %)"
            )


def _ratio(side: Row) -> str:
    if "ratio" not in side:
        return ""
    return f"{side['ratio']:.2f} ({side['ratio_low']:.2f}–{side['ratio_high']:.2f})"


def _return(side: Row) -> str:
    if "return_mean" not in side:
        return ""
    mean, half = side["return_mean"], side["return_half_width"]
    digits = digits_of([mean, half])
    return number(mean, digits) + (f" ± {number(half, digits)}" if math.isfinite(half) else "")
