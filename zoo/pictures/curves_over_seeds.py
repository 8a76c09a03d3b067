"""Learning curves of many runs in one picture: a panel per environment, a line per recipe, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from catzoo.zoo.folders.episodes import curve
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.pictures import style
from catzoo.zoo.statistics.intervals import student_quantile

MANY = 12
"""Panels beyond which they are drawn smaller."""
GRID, SMALL_GRID = (3, 440, 330), (5, 316, 250)
"""How many panels are in a row, and the width and height of one, with its words."""
Group = tuple[Mapping[str, Any], Sequence[Run]]


def draw_curves(groups: Sequence[Group], out: Path, looks: Mapping[str, style.Look] | None = None) -> Path:
    """Draws the curves of groups of runs: their mean, and its 95 % interval (Student's t) over the seeds.

    With fewer than three seeds each is a thin line instead, as an interval would say nothing.

    Args:
        groups: what is the same in a group (`env`, `agent`, `loss`, `steps`, `differs`; `label`, if it is to
            be called otherwise), and its runs.
        out: the PNG, published by rename.
        looks: of the labels, where other pictures have the same lines; by default in the groups' order.

    Raises:
        OSError: it cannot be written.
    """
    panels: dict[str, list[Group]] = {}
    for about, runs in groups:
        panels.setdefault(about["env"], []).append((about, runs))
    looks = looks or style.looks(_label(about) for about, _ in groups)
    most, width, height = GRID if len(panels) <= MANY else SMALL_GRID
    across = min(len(panels), most)
    columns = style.legend_columns(looks, width * across - 88)
    head = 0 if len(panels) == 1 else 16 + 22 * -(-len(looks) // columns)
    alike = len({len(runs) for _, runs in groups}) == 1
    with style.styled():
        figure = style.new_figure(width * across, head + height * -(-len(panels) // across) + 30)
        for number, (env, members) in enumerate(panels.items()):
            down, right = divmod(number, across)
            place = (width * right + 58, head + height * down + 40, width - 76, height - 90)
            axes = style.place(figure, *place)
            _draw_panel(axes, env, members, looks)
            if len(panels) == 1 and axes.lines:
                axes.legend(loc="best", fontsize=9)
            elif len(panels) > 1 and not alike:
                axes.text(0.99, 0.03, _seeds(members), transform=axes.transAxes, ha="right", fontsize=9,
                          color=style.MUTED)  # fmt: skip
        if len(panels) > 1:
            _draw_legend(figure, looks, columns)
        words = "mean return of the training episodes in the last tenth of the steps, over agent steps"
        words += f"; {_seeds(groups)}" if alike and len(panels) > 1 else ""
        words += "; bands: 95 % over seeds" if any(len(runs) > 2 for _, runs in groups) else ""
        figure.text(0.5, 8 / (figure.get_figheight() * style.DPI), "\n".join(wrap(words, 50 * across)),
                    ha="center", color=style.MUTED, fontsize=9)  # fmt: skip
        style.publish(figure, out)
    return out


def _label(about: Mapping[str, Any]) -> str:
    own = f"{style.title(about['agent'], about['loss'])} {about.get('differs', '')}".strip()
    return style.words(about.get("label", own))


def _draw_legend(figure: Figure, looks: Mapping[str, style.Look], columns: int) -> None:
    """One for all panels, above them."""
    lines = [Line2D([], [], color=color, ls=dashes, lw=2) for color, dashes in looks.values()]
    width, height = figure.get_size_inches() * style.DPI
    figure.legend(lines, list(looks), loc="upper left", bbox_to_anchor=(44 / width, 1 - 8 / height),
                  ncols=columns, handlelength=3, borderaxespad=0)  # fmt: skip


def _seeds(members: Sequence[Group]) -> str:
    counts = sorted({len(runs) for _, runs in members})
    many = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{many} seed{'' if counts == [1] else 's'}"


def _draw_panel(axes: Axes, env: str, members: Sequence[Group], looks: Mapping[str, style.Look]) -> None:
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
            quantile = student_quantile(len(runs) - 1)
            half_P = quantile * values_SP.std(axis=0, ddof=1) / np.sqrt(len(runs))
            axes.fill_between(steps, mean_P - half_P, mean_P + half_P, color=color, alpha=0.15, lw=0)
    if not any(len(line.get_xdata()) for line in axes.lines):
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no training episodes", transform=axes.transAxes, ha="center", color=style.MUTED)
    axes.set_title(style.words(env), y=1.0)  # where it is anyway: looking for it takes long
    axes.set_xlim(0, 1.01 * max(about["steps"] for about, _ in members))
    axes.grid(axis="y")
    axes.tick_params(length=0, pad=6)
    axes.xaxis.set_major_formatter(FuncFormatter(style.compact))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    if max(map(abs, axes.get_ylim())) > 10_000:  # longer numbers would leave the picture
        axes.yaxis.set_major_formatter(FuncFormatter(style.compact))
