"""The tables of a report, as rows for CSV files and as Markdown for a README."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from typing import Any

from catzoo.hparams.schema import brief
from catzoo.zoo.reporting.comparison import Comparison, Group
from catzoo.zoo.reporting.finished_runs import Row, over_seeds
from catzoo.zoo.reporting.published_scores import Published
from catzoo.zoo.reporting.score_rows import row_of
from catzoo.zoo.reporting.summary import Estimate, Summary
from catzoo.zoo.statistics.intervals import FEW
from catzoo.zoo.statistics.normalisation import scales
from catzoo.zoo.system.digits import digits_of, exact, typeset

AGGREGATE_COLUMNS = [
    "aggregate", "agent", "loss", "recipe", "over", "value", "low_95", "high_95", "seeds", "environments",
    "scale",
]  # fmt: skip
ENVIRONMENT_COLUMNS = [
    "env", "agent", "loss", "recipe", "steps", "protocol", "seeds", "mean_return", "std", "low_95", "high_95",
    "interval", "normalised", "source",
]  # fmt: skip


def score_rows(comparison: Comparison) -> list[dict[str, str]]:
    """One row a run, with the columns of `scores.COLUMNS`."""
    return [row_of(run, result) for run, result in comparison.everyone()]


def aggregate_rows(summary: Summary) -> list[Row]:
    """Aggregates and probabilities of improvement, one number a row; NaN where there is no interval."""
    about = {"environments": len(summary.envs), "scale": summary.scale}
    rows: list[Row] = [
        {"aggregate": name, **_of_group(group), **_of_estimate(estimate),
         "seeds": len(summary.scores[group]), **about}
        for name, estimates in summary.aggregates.items() for group, estimate in estimates.items()
    ]  # fmt: skip
    rows += [
        {"aggregate": "probability_of_improvement", **_of_group(pair.better), "over": pair.over.label,
         **_of_estimate(pair.estimate), "seeds": len(summary.scores[pair.better]), **about}
        for pair in summary.improvements
    ]  # fmt: skip
    return rows


def environment_rows(comparison: Comparison, others: Sequence[Published]) -> list[Row]:
    """A row for every group on every environment, then what others published for it; numbers as they are."""
    rows: list[Row] = []
    for env in comparison.envs:
        scale = scales().get(env)
        about = {"env": env, "steps": comparison.steps[env], "protocol": comparison.protocol}
        for group in comparison.groups:
            results = [result for _, result in comparison.runs.get((group, env), ())]
            if not results:
                continue
            row = {**about, "group": group, **_of_group(group), **over_seeds(results), "source": "these runs"}
            scores = [float(result["mean_return"]) for result in results]
            row["std"] = statistics.stdev(scores) if len(scores) > 1 else None
            rows.append({**row, "normalised": scale(row["mean_return"]) if scale else None})
        rows += [
            {**about, "agent": other.agent, "seeds": other.seeds, "mean_return": other.mean, "std": other.std,
             "normalised": scale(other.mean) if scale else None, "source": other.source}
            for other in others if other.env == env
        ]  # fmt: skip
    return rows


def as_text(rows: Sequence[Row], columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows for a CSV file."""
    return [{column: _text(row.get(column)) for column in columns} for row in rows]


def markdown(comparison: Comparison, summary: Summary, rows: Sequence[Row]) -> str:
    """A table for a README: environments by groups, the aggregates below, and what to know about it."""
    said = explanation(comparison)
    lines = [
        _line(["environment", "steps", *(_plain(group.label) for group in comparison.groups)]),
        "|" + "---|" * (2 + len(comparison.groups)),
    ]
    for env in comparison.envs:
        cells = environment_cells(rows, env, comparison.groups)
        bold = [f"**{_plain(text)}**" if best else _plain(text) for text, best in cells]
        lines.append(_line([_plain(env), f"{comparison.steps[env]:,}", *bold]))
    if summary.scores and len(summary.envs) > 1:
        name = f"IQM, {summary.scale}" + (
            "" if summary.envs == comparison.envs else f", {len(summary.envs)} envs"
        )
        estimates = [summary.aggregates["iqm"][group] for group in comparison.groups]
        lines.append(_line([name, "", *(_plain(estimate_text(estimate)) for estimate in estimates)]))
        said = [*said, "The IQM's interval is a stratified bootstrap over seeds."]
    return "\n".join([*lines, "", *map(_plain, said)]) + "\n"


def explanation(comparison: Comparison) -> list[str]:
    """What to know about the numbers by environment, in sentences."""
    counts = sorted({len(runs) for runs in comparison.runs.values()})
    seeds = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    said = [
        f"Greedy return after training, mean over {seeds} seed{'' if counts == [1] else 's'}, protocol "
        f"{brief(comparison.protocol)}."
    ]
    if counts[-1] > 1:
        said.append(
            f"± and [low, high] are 95 % intervals of the mean over seeds: Student's t for fewer than {FEW}, "
            "else a bootstrap."
        )
        said.append("Bold: the interval lies wholly above that of every other group.")
    if counts[0] == 1:
        said.append("* one seed, which says nothing about others.")
    return said


def environment_cells(rows: Sequence[Row], env: str, groups: Sequence[Group]) -> list[tuple[str, bool]]:
    """What a table says about each group on an environment, and whether it is apart from all others."""
    by_group = {row["group"]: row for row in rows if row["env"] == env and "group" in row}
    own = [by_group.get(group) for group in groups]
    digits = digits_of([row["mean_return"] for row in own if row])
    return [
        (_mean_text(row, digits), _is_apart(row, [other for other in own if other and other is not row]))
        if row else ("–", False)
        for row in own
    ]  # fmt: skip


def _mean_text(row: Row, digits: int) -> str:
    mean = typeset(row["mean_return"], digits)
    if row["seeds"] == 1:
        return f"{mean}*"
    if row["seeds"] < FEW:
        return f"{mean} ± {typeset((row['high_95'] - row['low_95']) / 2, digits)}"
    return f"{mean} [{typeset(row['low_95'], digits)}, {typeset(row['high_95'], digits)}]"


def _is_apart(row: Row, others: Sequence[Row]) -> bool:
    """Whether an interval over seeds lies above every other; of one seed nobody knows."""
    return (
        bool(others)
        and all(one["interval"] == "seeds" for one in (row, *others))
        and all(row["low_95"] > other["high_95"] for other in others)
    )


def estimate_text(estimate: Estimate) -> str:
    """`0.93 [0.81, 1.04]`."""
    digits = digits_of([estimate.value, estimate.low, estimate.high])
    text = typeset(estimate.value, digits)
    if not estimate.has_interval:
        return text
    return f"{text} [{typeset(estimate.low, digits)}, {typeset(estimate.high, digits)}]"


def _plain(text: str) -> str:
    """A text that Markdown takes for no markup, on one line."""
    return re.sub(r"([\\|*_`<>])", r"\\\1", brief(text, 300))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _of_group(group: Group) -> dict[str, str]:
    return {"agent": group.agent, "loss": group.loss, "recipe": group.recipe}


def _of_estimate(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low_95": estimate.low, "high_95": estimate.high}


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return exact(value) if isinstance(value, float) else str(value)
