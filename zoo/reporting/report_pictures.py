"""The pictures of a report: aggregates, performance profiles, probabilities of improvement."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from catzoo.zoo.pictures import style
from catzoo.zoo.pictures.curves_over_seeds import draw_curves
from catzoo.zoo.reporting.comparison import Comparison
from catzoo.zoo.reporting.summary import TITLES, Estimate, Summary
from catzoo.zoo.reporting.tables import estimate_text

CURVES, AGGREGATES, PROFILES, IMPROVEMENT = "curves.png", "aggregates.png", "profiles.png", "improvement.png"
PICTURES = (AGGREGATES, CURVES, PROFILES, IMPROVEMENT)
"""In the order of the page."""
ROW = 46
"""Height of a bar with its number."""
PANEL = 230
"""Width of an aggregate's axes."""
LONGEST = 44
"""Characters of a row's label."""


def draw_pictures(comparison: Comparison, summary: Summary, out: Path) -> list[Path]:
    """Draws what there is something to show of, into a folder; returns the files.

    Raises:
        OSError: one cannot be written.
    """
    looks = style.looks(style.words(group.label) for group in comparison.groups)
    about = [
        ({"env": env, "agent": group.agent, "loss": group.loss, "steps": comparison.steps[env],
          "label": group.label}, [run for run, _ in comparison.runs[group, env]])
        for env in comparison.envs for group in comparison.groups if (group, env) in comparison.runs
    ]  # fmt: skip
    drawn = [draw_curves(about, out / CURVES, looks)]
    with style.styled():
        if summary.aggregates:
            drawn.append(_draw_aggregates(summary, looks, out / AGGREGATES))
        if summary.profiles:
            drawn.append(_draw_profiles(summary, looks, out / PROFILES))
        if summary.improvements:
            drawn.append(_draw_improvement(summary, out / IMPROVEMENT))
    return sorted(drawn, key=lambda path: PICTURES.index(path.name))


def _draw_aggregates(summary: Summary, looks: Mapping[str, style.Look], out: Path) -> Path:
    """A panel per aggregate, a bar per group: the interval, and the estimate as a line in it."""
    groups = list(summary.scores)
    labels = [group.label for group in groups]
    left, gap = _width_of(labels), 30
    figure = style.new_figure(left + (PANEL + gap) * len(summary.aggregates), 118 + ROW * len(groups))
    for number, (name, estimates) in enumerate(summary.aggregates.items()):
        axes = style.place(figure, left + (PANEL + gap) * number, 46, PANEL, ROW * len(groups))
        axes.set_title(TITLES[name])
        _prepare(axes, labels if number == 0 else [""] * len(labels), _limits(estimates.values()))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        for row, group in enumerate(groups):
            _draw_bar(axes, row, estimates[group], looks[style.words(group.label)][0], PANEL)
    envs = len(summary.envs)
    _write_below(
        figure,
        left,
        f"{summary.scale} {f'over {envs} environments' if envs > 1 else f'on {summary.envs[0]}'}",
    )
    style.publish(figure, out)
    return out


def _limits(estimates: Iterable[Estimate]) -> tuple[float, float]:
    """An axis on which all estimates and intervals have a place."""
    places = [place for one in estimates for place in (one.value, one.low, one.high) if math.isfinite(place)]
    low, high = min(places), max(places)
    margin = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin


def _prepare(axes: Axes, labels: Sequence[str], limits: tuple[float, float], longest: int = LONGEST) -> None:
    """Rows with names, the first on top."""
    axes.set_yticks(range(len(labels)), [style.words(label, longest) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.72)  # with room for the first one's number
    axes.set_xlim(*limits)
    axes.tick_params(length=0, pad=6)
    axes.tick_params(axis="y", labelcolor=style.INK)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def _draw_bar(axes: Axes, row: int, estimate: Estimate, color: str, width: int) -> None:
    """One row of axes whose limits are set, and that are `width` units wide."""
    if estimate.has_interval:
        axes.barh(row, estimate.high - estimate.low, left=estimate.low, height=0.36, color=color, alpha=0.35)
    axes.plot([estimate.value] * 2, [row - 0.22, row + 0.22], color=color, lw=3, solid_capstyle="butt")
    text = estimate_text(estimate)
    low, high = axes.get_xlim()
    half = 0.5 * style.width_of(text, 8.5) / width
    place = min(max((estimate.value - low) / (high - low), half), 1 - half)  # beyond are the neighbours
    # Lines of the grid would strike it through.
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes.text(place, row - 0.26, text, transform=axes.get_yaxis_transform(), ha="center", va="bottom",
              fontsize=8.5, bbox=behind)  # fmt: skip


def _width_of(labels: Iterable[str], longest: int = LONGEST) -> int:
    """Units that the labels of rows take."""
    return 24 + round(max(style.width_of(style.words(label, longest), 10) for label in labels))


def _write_below(figure: Figure, left: float, text: str) -> None:
    width, height = figure.get_size_inches() * style.DPI
    figure.text(left / width, 14 / height, style.words(text), color=style.MUTED, fontsize=9)


def _draw_profiles(summary: Summary, looks: Mapping[str, style.Look], out: Path) -> Path:
    """How large a share of runs scores more than each threshold."""
    width, labels = 760, [style.words(group.label) for group in summary.profiles]
    columns = style.legend_columns(labels, width - 100)
    head = 24 + 22 * -(-len(labels) // columns)
    figure = style.new_figure(width, head + 380)
    axes = style.place(figure, 76, head, width - 100, 300)
    for label, profile in zip(labels, summary.profiles.values(), strict=True):
        color, dashes = looks[label]
        axes.fill_between(summary.thresholds, profile.low, profile.high, color=color, alpha=0.15, lw=0)
        axes.plot(summary.thresholds, profile.share, color=color, ls=dashes, lw=2, label=label)
    axes.axhline(0.5, color=style.LINE, lw=1, ls=(0, (2, 2)), zorder=0)
    axes.set_ylim(-0.01, 1.02)
    axes.set_xlim(summary.thresholds[0], summary.thresholds[-1])
    axes.grid(axis="y")
    axes.tick_params(length=0, pad=6)
    axes.set_xlabel(f"{summary.scale} τ")
    axes.set_ylabel("share of runs with a score above τ")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.02), ncols=columns, borderaxespad=0, handlelength=3)
    style.publish(figure, out)
    return out


def _draw_improvement(summary: Summary, out: Path) -> Path:
    """A bar per pair: how probably a run of the one beats a run of the other."""
    labels = [f"{pair.better.label} over {pair.over.label}" for pair in summary.improvements]
    left, width = _width_of(labels, 2 * LONGEST), 390
    figure = style.new_figure(left + width + 30, 118 + ROW * len(labels))
    axes = style.place(figure, left, 46, width, ROW * len(labels))
    axes.set_title("Probability of improvement")
    _prepare(axes, labels, (-0.03, 1.03), 2 * LONGEST)
    axes.axvline(0.5, color=style.MUTED, lw=1, ls=(0, (4, 3)), zorder=0)
    for row, pair in enumerate(summary.improvements):
        _draw_bar(axes, row, pair.estimate, style.BLUE, width)
    _write_below(
        figure, left, "0.5: neither is better" + ("; mean over environments" if len(summary.envs) > 1 else "")
    )
    style.publish(figure, out)
    return out
