"""The look of every picture: one palette, one type size, one way to open a figure.

Colours are those of Okabe and Ito, told apart by people with any common colour blindness; wherever two lines
share a panel they differ in dash or weight too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from catzoo.hparams import VALUE_LOSSES, loss_title
from catzoo.hparams.published_files import replace
from catzoo.hparams.schema import brief
from catzoo.zoo.system.digits import exact

BLUE = "#0072B2"
ORANGE = "#D55E00"
GREEN = "#009E73"
SKY = "#56B4E9"
PURPLE = "#CC79A7"
AMBER = "#E69F00"
INK = "#1F2933"
"""Text."""
MUTED = "#697586"
"""Secondary text."""
LINE = "#C9D1DA"
"""Axes, borders, whatever is not chosen."""
GRID = "#E9EDF1"

Look = tuple[str, Any]
"""A line's colour and dashes."""
LINES: tuple[Look, ...] = (
    (BLUE, "-"),
    (ORANGE, (0, (5, 1.5))),
    (GREEN, (0, (2, 1))),
    (SKY, (0, (6, 1.5, 1, 1.5))),
    (INK, (0, (1, 1))),
    (PURPLE, (0, (8, 2))),
    (AMBER, (0, (4, 1, 1, 1, 1, 1))),
    (MUTED, (0, (3, 3))),
)
DPI = 100
STYLE: dict[str, Any] = {
    # The font that comes with matplotlib: pictures are the same on every machine.
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 11,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "text.color": INK,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "grid.color": GRID,
    "grid.linewidth": 1.0,
    "lines.solid_capstyle": "round",
    "legend.framealpha": 0.8,  # over lines, where there is no empty corner
    "legend.edgecolor": "none",
    "legend.fontsize": 10,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@contextmanager
def styled() -> Iterator[None]:
    """The style, for the figures made inside; the caller's own settings stay what they were."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def new_figure(width: int, height: int, scale: float = 1.0) -> Figure:
    """A figure of `width` x `height` units, one unit being `scale` pixels; type scales along."""
    return Figure(figsize=(width / DPI, height / DPI), dpi=DPI * scale)


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place given in the figure's units from its upper left corner."""
    total_width, total_height = figure.get_size_inches() * DPI
    return figure.add_axes(
        (left / total_width, 1 - (top + height) / total_height, width / total_width, height / total_height)
    )


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """A look for every label, no two alike among the first 64.

    Where labels are losses, or differ in the loss that they end with, a loss looks the same in every picture.
    """
    labels = list(dict.fromkeys(labels))
    losses = [label.rpartition(" · ")[2] for label in labels]
    known = {entry.title: entry.order for entry in VALUE_LOSSES.values() if entry.order >= 0}
    if set(losses) <= known.keys() and len(set(losses)) == len(labels):
        return {label: LINES[known[loss] % len(LINES)] for label, loss in zip(labels, losses, strict=True)}
    kinds = len(LINES)
    return {
        label: (LINES[number % kinds][0], LINES[(number + number // kinds) % kinds][1])
        for number, label in enumerate(labels)
    }


def legend_columns(labels: Iterable[str], width: float) -> int:
    """How many columns of a legend (lines of the usual length, text of the usual size) a width takes."""
    widths = [52 + width_of(label, STYLE["legend.fontsize"]) for label in labels]
    return max(1, min(len(widths), int(width // (max(widths) + 20))))


def publish(figure: Figure, out: Path) -> None:
    """Draws a figure as PNG, published by rename.

    Raises:
        OSError: it cannot be written.
    """
    temporary = out.with_name(out.name + ".tmp")
    try:
        canvas = FigureCanvasAgg(figure)
        # Somewhat larger files than with the usual 6, and far less time to write them.
        canvas.print_figure(temporary, format="png", dpi=1.5 * DPI, pil_kwargs={"compress_level": 3})
        replace(temporary, out)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def title(agent: str, loss: str) -> str:
    """`DQN · HL-Gauss`, `Rainbow · C51`: short names are initials."""
    name = agent.upper() if len(agent) < 5 else agent.capitalize()
    return f"{name} · {loss_title(loss)}"


def width_of(text: str, size: float) -> float:
    """Units that a text takes in the pictures' font, at `size` points."""
    path = TextPath((0, 0), text, size=size, prop=FontProperties(family=STYLE["font.family"]))
    return float(path.get_extents().x1) * DPI / 72


def words(text: str, longest: int = 200) -> str:
    """A text that matplotlib takes for no formula, on one line."""
    return brief(text, longest).replace("$", r"\$")


def compact(number: float, _position: int | None = None) -> str:
    """A number at an axis: 250, 40k, 1.5M, and 10.0002M, as its neighbours may share their first digits."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= unit:
            return f"{exact(number / unit)}{letter}"
    return exact(number)
