"""The look of every picture: one palette, one type size, one way to open a figure.

Colours are those of Okabe and Ito, told apart by people with any common colour blindness; wherever two lines
share a panel they differ in dash or weight too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE = "#0072B2"
ORANGE = "#D55E00"
GREEN = "#009E73"
SKY = "#56B4E9"
INK = "#1F2933"
"""Text."""
MUTED = "#697586"
"""Secondary text."""
LINE = "#C9D1DA"
"""Axes, borders, whatever is not chosen."""
GRID = "#E9EDF1"

DPI = 100
LOSS_TITLES = {
    "mse": "MSE",
    "huber": "Huber",
    "two_hot": "Two-Hot",
    "hl_gauss": "HL-Gauss",
    "c51": "C51",
    "softmax_mse": "Softmax-MSE",
}
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
    "legend.frameon": False,
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


def title(agent: str, loss: str) -> str:
    """`DQN · HL-Gauss`, `Rainbow · C51`: short names are initials."""
    name = agent.upper() if len(agent) < 5 else agent.capitalize()
    return f"{name} · {LOSS_TITLES.get(loss, loss)}"


def compact(number: float, _position: int | None = None) -> str:
    """A count of steps in few characters: 250, 40k, 1.5M."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= unit:
            return f"{number / unit:.3g}{letter}"
    return f"{number:.3g}"


def plain(number: float, digits: int) -> str:
    """A number with a typographic minus, so that its width is that of a plus."""
    text = f"{number:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")
