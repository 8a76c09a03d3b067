"""Learning curves of many runs in one picture: a panel per environment, a line per recipe, over seeds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ticker import FuncFormatter, MaxNLocator

from catzoo.hparams.schema import brief
from catzoo.zoo import style
from catzoo.zoo.intervals import STUDENT
from catzoo.zoo.plots import column
from catzoo.zoo.rows import read_rows
from catzoo.zoo.runs import Run

POINTS = 100
"""Of a curve."""
SHARE = 0.1
"""A point is the mean of the episodes that ended in the last tenth of the run's steps before it."""
ACROSS = 3
"""Panels in a row."""
WIDTH, HEIGHT = 440, 330
"""Of a panel, with its words."""
LINES = (
    (style.BLUE, "-"),
    (style.ORANGE, (0, (5, 1.5))),
    (style.GREEN, (0, (2, 1))),
    (style.SKY, (0, (6, 1.5, 1, 1.5))),
    (style.INK, (0, (1, 1))),
)
Group = tuple[Mapping[str, Any], Sequence[Run]]


def curve(run: Run, total: int, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Steps [P] and the mean training return [P] of the episodes that ended shortly before each.

    NaN where none did. Training episodes explore, and their returns are undiscounted and unclipped.

    Args:
        run: with its episodes.csv.
        total: steps that the curve spans.
        points: P.
    """
    rows = read_rows(run.episodes)
    ends, scores = column(rows, "step"), column(rows, "return")
    whole = np.isfinite(ends) & np.isfinite(scores)
    order = np.argsort(ends[whole], kind="stable")
    ends, scores = ends[whole][order], scores[whole][order]
    steps = np.linspace(0, total, points + 1)[1:]
    first = np.searchsorted(ends, steps - SHARE * total, "right")
    last = np.searchsorted(ends, steps, "right")
    sums = np.concatenate([[0.0], np.cumsum(scores)])
    count = last - first
    return steps, np.where(count > 0, (sums[last] - sums[first]) / np.maximum(count, 1), np.nan)


def draw_curves(groups: Sequence[Group], out: Path) -> Path:
    """Draws the curves of groups of runs: their mean, and its 95 % interval (Student's t) over the seeds.

    With fewer than three seeds each is a thin line instead, as an interval would say nothing.

    Args:
        groups: what is the same in a group (`env`, `agent`, `loss`, `steps`, `differs`), and its runs.
        out: the PNG, published by rename.

    Raises:
        OSError: it cannot be written.
    """
    panels: dict[str, list[Group]] = {}
    for about, runs in groups:
        panels.setdefault(about["env"], []).append((about, runs))
    looks: dict[str, Any] = dict(
        zip(dict.fromkeys(map(_label, (about for about, _ in groups))), cycle(LINES))
    )
    rows = -(-len(panels) // ACROSS)
    with style.styled():
        figure = style.new_figure(WIDTH * min(len(panels), ACROSS), HEIGHT * rows + 30)
        canvas = FigureCanvasAgg(figure)
        for number, (env, members) in enumerate(panels.items()):
            down, right = divmod(number, ACROSS)
            axes = style.place(figure, WIDTH * right + 58, HEIGHT * down + 40, WIDTH - 76, HEIGHT - 90)
            _draw_panel(axes, env, members, looks)
        words = "mean return of the training episodes in the last tenth of the steps, over agent steps"
        figure.text(0.5, 0.01, words, ha="center", color=style.MUTED, fontsize=9)
        temporary = out.with_name(out.name + ".tmp")
        canvas.print_figure(temporary, format="png", dpi=1.5 * style.DPI)
    os.replace(temporary, out)
    return out


def _label(about: Mapping[str, Any]) -> str:
    return _plain(f"{style.title(about['agent'], about['loss'])} {about.get('differs', '')}".strip())


def _plain(text: str) -> str:
    """A text that matplotlib takes for no formula."""
    return brief(text, 200).replace("$", r"\$")


def _draw_panel(axes: Axes, env: str, members: Sequence[Group], looks: Mapping[str, Any]) -> None:
    for about, runs in members:
        label = _label(about)
        color, dashes = looks[label]
        lines = [curve(run, about["steps"]) for run in runs]
        steps, values_SP = lines[0][0], np.stack([values for _, values in lines])
        everyone = np.isfinite(values_SP).all(axis=0)
        steps, values_SP = steps[everyone], values_SP[:, everyone]
        seeds = f"{len(runs)} seed{'s' if len(runs) > 1 else ''}"
        mean_P = values_SP.mean(axis=0)
        axes.plot(steps, mean_P, color=color, ls=dashes, lw=2, label=f"{label}, {seeds}")
        if len(runs) < 3:
            for values_P in values_SP if len(runs) > 1 else ():
                axes.plot(steps, values_P, color=color, lw=0.8, alpha=0.6)
        else:
            quantile = STUDENT[min(len(runs) - 1, len(STUDENT)) - 1]
            half_P = quantile * values_SP.std(axis=0, ddof=1) / np.sqrt(len(runs))
            axes.fill_between(steps, mean_P - half_P, mean_P + half_P, color=color, alpha=0.15, lw=0)
    axes.set_title(_plain(env))
    axes.set_xlim(0, 1.01 * max(about["steps"] for about, _ in members))
    axes.grid(axis="y")
    axes.tick_params(length=0, pad=6)
    axes.xaxis.set_major_formatter(FuncFormatter(style.compact))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.legend(loc="best", fontsize=9)
