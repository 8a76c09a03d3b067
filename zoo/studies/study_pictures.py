"""Pictures that several studies share: lines over a number, bars over a name, rows of arms, heat maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from catzoo.hparams import loss_title
from catzoo.zoo.pictures import style
from catzoo.zoo.statistics.intervals import mean_interval
from catzoo.zoo.studies.study import Cell, Row, values

PANEL = (460, 340)
"""Width and height of one panel, with its words."""
SHADES = (style.BLUE, style.AMBER, style.GREEN, style.PURPLE)


def band(numbers: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval over seeds; of one seed the mean alone."""
    mean = sum(numbers) / len(numbers)
    return (mean, *mean_interval(numbers)) if len(numbers) > 1 else (mean, mean, mean)


def unique(rows: Sequence[Row], column: str | None) -> list[Any]:
    """The values of a column in their order; [None] without a column."""
    return [None] if column is None else list(dict.fromkeys(row[column] for row in rows if column in row))


def named(value: Cell) -> str:
    """A label for people: losses have titles."""
    return f"{value:g}" if isinstance(value, float) else loss_title(str(value))


def panels_of(title: str, count: int, note: str, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of panels side by side, with a title over all, and how to read it under that; row by row."""
    width, height = PANEL
    head = 44
    whole = height * rows + head
    figure = style.new_figure(width * count, whole)
    left = 18 / (width * count)
    figure.text(left, 1 - 22 / whole, style.words(title), weight="bold", size=12)
    figure.text(left, 1 - 40 / whole, style.words(note), color=style.MUTED, size=9)
    return figure, [
        style.place(figure, 84 + width * index, head + 36 + height * row, width - 104, height - 96)
        for row in range(rows)
        for index in range(count)
    ]


def lines(
    rows: Sequence[Row],
    x: str,
    y: str,
    *,
    by: str,
    title: str,
    xlabel: str,
    ylabel: str = "",
    panels: str | None = None,
    down: str | None = None,
    share: bool = False,
) -> Figure:
    """The mean of `y` over seeds against `x`, a line and a band for each value of `by`.

    Panels stand side by side for the values of `panels`; `down`: a row of them for each of its values, which
    is what the row's numbers are called. `share`: `y` is one, so that axes go from 0 to 1.
    """
    places, kinds = unique(rows, panels) or [None], unique(rows, down) or [None]  # every task may have failed
    figure, drawn = panels_of(title, len(places), "mean over seeds, and its 95 % interval", len(kinds))
    looks = style.looks(named(value) for value in unique(rows, by))
    for (kind, place), axes in zip(product(kinds, places), drawn, strict=True):
        some = [
            row
            for row in rows
            if (panels is None or row[panels] == place) and (down is None or row[down] == kind)
        ]
        for value in unique(some, by):
            own = [row for row in some if row[by] == value]
            across = sorted(unique(own, x))
            bands = [band(values(own, y, **{x: point})) for point in across]
            color, dashes = looks[named(value)]
            axes.plot(across, [mean for mean, _, _ in bands], color=color, ls=dashes, lw=2, marker="o", ms=4,
                      label=named(value))  # fmt: skip
            axes.fill_between(across, [low for _, low, _ in bands], [high for _, _, high in bands],
                              color=color, alpha=0.13, lw=0)  # fmt: skip
        finish(axes, "" if place is None else named(place), xlabel, ylabel if kind is None else named(kind))
        keep_to_seeds(axes, [value for value in unique(some, y) if value is not None])
        if share:
            axes.set_ylim(-0.02, 1.02)
    if rows:
        drawn[0].legend(loc="best")
    return figure


def bars(
    rows: Sequence[Row],
    y: str,
    *,
    across: str,
    colour: str,
    title: str,
    ylabel: str,
    panels: str | None = None,
) -> Figure:
    """The mean of `y` over seeds with its interval, and every seed as a dot, for each value of `across`."""
    places, kinds = unique(rows, panels), unique(rows, colour)
    figure, drawn = panels_of(title, len(places), "mean over seeds, and its 95 % interval; a dot is a seed")
    for place, axes in zip(places, drawn, strict=True):
        some = [row for row in rows if panels is None or row[panels] == place]
        names = unique(some, across)
        for number, kind in enumerate(kinds):
            for index, name in enumerate(names):
                numbers = values(some, y, **{across: name, colour: kind})
                if not numbers:
                    continue
                mean, low, high = band(numbers)
                middle = index + (number - (len(kinds) - 1) / 2) * 0.8 / len(kinds)
                axes.bar(middle, mean, width=0.72 / len(kinds), color=SHADES[number % len(SHADES)])
                axes.plot([middle, middle], [low, high], color=style.INK, lw=1.5)
                axes.plot([middle] * len(numbers), numbers, "o", ms=3, color=style.MUTED)
        axes.set_xticks(range(len(names)), [named(name) for name in names], rotation=20)
        finish(axes, "" if place is None else named(place), "", ylabel)
        keep_to_seeds(axes, [0.0, *unique(some, y)])
    if len(kinds) > 1:
        handles = [Patch(color=SHADES[number % len(SHADES)], label=named(kind))
                   for number, kind in enumerate(kinds)]  # fmt: skip
        # Bars fill their panel: above it is room.
        drawn[-1].legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(kinds))
    return figure


def rows_of_arms(rows: Sequence[Row], columns: Mapping[str, str], *, arm: str, title: str) -> Figure:
    """The mean over seeds with its interval, a row for each arm, a panel for each column and its title."""
    names = unique(rows, arm)
    head, line, width = 44, 22, 380
    margin = 24 + 7 * max(len(named(name)) for name in names)  # a letter is 7 wide
    whole = head + 70 + line * len(names)
    figure = style.new_figure(margin + width * len(columns), whole)
    figure.text(0.02, 1 - 22 / whole, style.words(title), weight="bold", size=12)
    note = "mean over seeds, and its 95 % interval; a dot is a seed; the line is the first row"
    figure.text(0.02, 1 - 40 / whole, note, color=style.MUTED, size=9)
    for number, (column, words) in enumerate(columns.items()):
        axes = style.place(figure, margin + width * number, head + 30, width - 30, whole - head - 66)
        for place, name in enumerate(names):
            numbers = values(rows, column, **{arm: name})
            if not numbers:
                continue
            mean, low, high = band(numbers)
            axes.plot(numbers, [place] * len(numbers), "o", ms=3, color=style.MUTED)
            axes.plot([low, high], [place, place], color=style.BLUE, lw=1.5)
            axes.plot(mean, place, "o", ms=6, color=style.BLUE)
            if place == 0:
                axes.axvline(mean, color=style.MUTED, lw=1, ls=":")
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks(range(len(names)), [named(name) for name in names] if number == 0 else [])
        finish(axes, words, "", "")
    return figure


def heat_maps(
    rows: Sequence[Row], bins: Sequence[int], ratios: Sequence[float], y: str, title: str, note: str
) -> Figure:
    """Scores over bins and sigma: by the ratio to the bin width, and by absolute sigma."""
    import numpy as np

    figure, (left, right) = panels_of(title, 2, note)
    table = np.array([
        [sum(cell) / len(cell) if (cell := values(rows, y, bins=b, ratio=r)) else np.nan for r in ratios]
        for b in bins
    ])  # fmt: skip
    left.imshow(table, aspect="auto", cmap="viridis", origin="lower")
    for (row, column), value in np.ndenumerate(table):
        bright = value > (np.nanmin(table) + 2 * np.nanmax(table)) / 3
        left.text(column, row, f"{value:.3g}", ha="center", va="center", fontsize=9,
                  color=style.INK if bright else "white")  # fmt: skip
    left.set_xticks(range(len(ratios)), [f"{ratio:g}" for ratio in ratios])
    left.set_yticks(range(len(bins)), [str(number) for number in bins])
    left.set_xlabel("sigma / bin width")
    left.set_ylabel("bins")
    sigmas = {(row["bins"], row["ratio"]): row["sigma"] for row in rows}
    places = [(sigmas[b, r], b, table[i, j]) for i, b in enumerate(bins) for j, r in enumerate(ratios)
              if (b, r) in sigmas]  # fmt: skip
    right.scatter([place[0] for place in places], [place[1] for place in places],
                  c=[place[2] for place in places], cmap="viridis", s=260, marker="s")  # fmt: skip
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_yticks(list(bins), [str(number) for number in bins])
    right.minorticks_off()
    right.margins(y=0.15)
    right.set_ylabel("bins")
    right.set_xlabel("absolute sigma, in units of return")
    return figure


def keep_to_seeds(axes: Axes, numbers: Sequence[Any]) -> None:
    """Cuts off intervals where they go beyond all that was measured by more than half of its range."""
    found = [float(number) for number in numbers if math.isfinite(float(number))]
    low, high = min(found, default=0.0), max(found, default=1.0)
    room = 0.5 * (high - low)
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, low - room), min(top, high + room))


def finish(axes: Axes, title: str, xlabel: str, ylabel: str) -> None:
    """Words and a grid."""
    axes.set_title(style.words(title), size=11)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(axis="y")
    axes.tick_params(length=0, pad=6)
