"""Pictures of `catzoo bench kernels`: bandwidth over rows, and latency of the Bellman step over batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from catzoo.hparams import loss_title
from catzoo.kernels.bench import Row
from catzoo.zoo.pictures import style

PANEL_WIDTH, PANEL_HEIGHT = 300, 250
LEFT, TOP, GAP_X, GAP_Y, BOTTOM = 84, 132, 44, 84, 84
OURS_WIDTH = 2.4
MANY_ROWS = 2**14
LOOKS: dict[str, dict[str, Any]] = {
    "copy": {"color": style.INK, "ls": (0, (1, 1.5))},
    "catzoo": {"color": style.BLUE, "lw": OURS_WIDTH, "marker": "o"},
    "catzoo fused": {"color": style.BLUE, "lw": OURS_WIDTH, "marker": "o"},
    "catzoo autograd": {"color": style.SKY, "marker": "o"},
    "catzoo graph": {"color": style.BLUE, "ls": "--", "marker": "s"},
    "catzoo torch": {"color": style.SKY, "ls": ":", "marker": "s"},
    "hard label": {"color": style.GREEN, "ls": "--"},
    "hard label, same tile": {"color": style.GREEN},
    "eager": {"color": style.MUTED, "marker": "D"},
    "eager graph": {"color": style.MUTED, "ls": "--", "marker": "D"},
    "torch.compile": {"color": style.ORANGE, "marker": "^"},
    "torch.compile graph": {"color": style.ORANGE, "ls": "--", "marker": "^"},
    "liger-kernel": {"color": "#CC79A7", "ls": "--", "marker": "s"},
    "hl-gauss-pytorch": {"color": "#CC79A7", "marker": "v"},
    "torchrl": {"color": "#CC79A7", "marker": "v"},
}
"""By side; solid is one call, dashed a CUDA graph or a label that is not HL-Gauss."""
TD_OURS = {"catzoo": {"color": style.SKY, "marker": "o"}}
"""In a Bellman step `catzoo` is the call through autograd."""

Panel = tuple[str, list[Row]]


def draw(rows: Sequence[Row], file: Path) -> list[Path]:
    """Draws what the rows have: `bandwidth.png`, `td_latency.png` beside the CSV `file`.

    A CSV that is not called kernels.csv gives its name to its pictures: `cpu-bandwidth.png`.
    """
    prefix = "" if file.stem == "kernels" else f"{file.stem}-"
    pictures = []
    for name, make in (("bandwidth.png", _bandwidth), ("td_latency.png", _latency)):
        with style.styled():
            figure = make([row for row in rows if row["p50_us"] != ""])
            if figure is None:
                continue
            path = file.with_name(prefix + name)
            style.publish(figure, path)
        pictures.append(path)
    return pictures


def _bandwidth(rows: list[Row]) -> Figure | None:
    own = [row for row in rows if row["part"] == "throughput"]
    panels: list[list[Panel]] = []
    for dtype in dict.fromkeys(row["dtype"] for row in own):
        widths = sorted({row["bins"] for row in own if row["dtype"] == dtype})
        panels.append(
            [
                (
                    f"{bins} bins, {dtype}",
                    [row for row in own if (row["bins"], row["dtype"]) == (bins, dtype)],
                )
                for bins in widths
            ]
        )
    heading = "HL-Gauss loss and gradient: useful bandwidth"
    return _figure(panels, heading, ("rows", "GB/s"), lambda row: row["gb_per_s"], {}) if panels else None


def _latency(rows: list[Row]) -> Figure | None:
    own = [row for row in rows if row["part"] == "td"]
    panels: list[list[Panel]] = []
    for actions in sorted({row["actions"] for row in own}):
        here = [row for row in own if row["actions"] == actions]
        panels.append(
            [
                (
                    f"{loss_title(label)}, {actions} actions",
                    [row for row in here if row["label"] == label],
                )
                for label in dict.fromkeys(row["label"] for row in here)
            ]
        )
    heading = "The whole Bellman step with its gradient: latency"
    labels = ("batch", "µs")
    return _figure(panels, heading, labels, lambda row: row["p50_us"], TD_OURS) if panels else None


def _figure(
    panels: list[list[Panel]],
    heading: str,
    labels: tuple[str, str],
    height: Callable[[Row], float],
    looks: dict[str, dict[str, Any]],
) -> Figure:
    """A grid of panels with the same axes, a common legend, and the hardware below."""
    columns = max(2, *map(len, panels))
    width = LEFT + columns * (PANEL_WIDTH + GAP_X)
    total = TOP + len(panels) * (PANEL_HEIGHT + GAP_Y) - GAP_Y + BOTTOM
    figure = style.new_figure(width, total)
    handles: dict[str, Any] = {}
    every = [row for line in panels for _, rows in line for row in rows]
    span = [height(row) for row in every]
    for down, line in enumerate(panels):
        for across, (title, rows) in enumerate(line):
            left, top = LEFT + across * (PANEL_WIDTH + GAP_X), TOP + down * (PANEL_HEIGHT + GAP_Y)
            axes = style.place(figure, left, top, PANEL_WIDTH, PANEL_HEIGHT)
            handles |= _lines(axes, rows, height, looks)
            _dress(axes, title, sorted({row["rows"] for row in every}))
            # Few rows are far from the roof, and many near it: that shows on a linear axis only.
            if labels[1] == "GB/s" and min(row["rows"] for row in every) >= MANY_ROWS:
                axes.set_ylim(0, 1.05 * max(span))
            else:
                _logarithmic(axes, min(span), max(span))
            axes.set_xlabel(labels[0])
            if across == 0:
                axes.set_ylabel(labels[1])
    figure.text(32 / width, 1 - 40 / total, heading, size=17, weight="bold")
    where = (32 / width, 1 - 56 / total)
    figure.legend(
        handles.values(), handles.keys(), loc="upper left", bbox_to_anchor=where, ncols=max(4, 2 * columns),
        borderaxespad=0, borderpad=0, columnspacing=1.6, handlelength=2.4,
    )  # fmt: skip
    first = panels[0][0][1][0]
    versions = [
        item.replace("=", " ") for item in first["versions"].split() if item.startswith(("catzoo", "torch="))
    ]
    threads = f"{first['threads']} CPU thread" + "s" * (first["threads"] > 1)
    small = "  ·  ".join([first["device"], threads, *versions, first["date"]])
    figure.text(1 - 40 / width, 16 / total, small, color=style.MUTED, size=8.5, ha="right")
    return figure


def _lines(
    axes: Axes, rows: list[Row], height: Callable[[Row], float], looks: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    handles = {}
    for side in dict.fromkeys(row["side"] for row in rows):
        points = sorted((row["rows"], height(row)) for row in rows if row["side"] == side)
        look = (
            {"lw": 1.6, "ms": 5, "mec": "white", "zorder": 3 if side.startswith("catzoo") else 2}
            | LOOKS.get(side, {"color": style.LINE})
            | looks.get(side, {})
        )
        (handles[side],) = axes.plot(*zip(*points, strict=True), label=side, **look)
    return handles


def _dress(axes: Axes, title: str, sizes: list[int]) -> None:
    axes.set_title(title)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes)
    axes.xaxis.set_major_formatter(FuncFormatter(_size))
    axes.minorticks_off()
    axes.grid(axis="y")
    axes.tick_params(length=0, pad=6)


def _logarithmic(axes: Axes, low: float, high: float) -> None:
    axes.set_yscale("log")
    axes.set_ylim(low / 1.3, high * 1.3)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 200 * low else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(style.compact))
    axes.minorticks_off()


def _size(rows: float, _position: int | None = None) -> str:
    """A number of rows as powers of two have it: 256, 4K, 1M."""
    for unit, letter in ((2**20, "M"), (2**10, "K")):
        if rows >= unit and rows % unit == 0:
            return f"{rows / unit:.0f}{letter}"
    return f"{rows:.0f}"
