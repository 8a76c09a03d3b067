"""A value's label with each categorical loss: `python -m catzoo.zoo.pictures.label_pictures OUT.png`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from matplotlib.axes import Axes
from torch import Tensor

from catzoo.hparams import loss_title
from catzoo.losses import make_value_loss
from catzoo.zoo.pictures.style import BLUE, GRID, MUTED, ORANGE, new_figure, place, publish, styled

V_MIN, V_MAX, BINS = 0.0, 10.0, 21
VALUE = 6.3
"""The target that is drawn."""
REWARD, DISCOUNT = 1.0, 0.9
"""Of C51's Bellman step."""


def draw_labels(out: Path) -> None:
    """A panel each for One-Hot, Two-Hot and HL-Gauss with a target, and for C51 with what it projects."""
    with styled():
        figure = new_figure(920, 560)
        for number, name in enumerate(("one_hot", "two_hot", "hl_gauss", "c51")):
            loss = make_value_loss(name, v_min=V_MIN, v_max=V_MAX, num_bins=BINS)
            axes = place(figure, 80 + number % 2 * 450, 50 + number // 2 * 260, 360, 170)
            centers_K = loss.support.centers
            label_K, target, title = _label(name, loss, centers_K)
            axes.bar(centers_K, label_K, width=0.42, color=BLUE)
            axes.axvline(target, color=ORANGE, linewidth=2)
            mean = float((label_K * centers_K).sum())
            _finish(axes, title, f"target {target:.2f}\nthe label's mean {mean:.2f}")
        publish(figure, out)


def _label(name: str, loss: torch.nn.Module, centers_K: Tensor) -> tuple[Tensor, float, str]:
    """The label, the target, and a title."""
    if name != "c51":
        return loss.encode(torch.tensor(VALUE)), VALUE, loss_title(name)
    next_K = torch.softmax(-((centers_K - 6.0) ** 2) / 2 + 0.8 * (centers_K > 6), 0)
    moved_K = (REWARD + DISCOUNT * centers_K).clamp(V_MIN, V_MAX)
    label_K = (loss.encode(moved_K) * next_K[:, None]).sum(0)
    target = float((moved_K * next_K).sum())
    return label_K, target, "C51: a shifted distribution, projected"


def _finish(axes: Axes, title: str, words: str) -> None:
    axes.set_title(title)
    axes.text(0.015, 0.97, words, transform=axes.transAxes, color=MUTED, va="top", fontsize=10)
    axes.set_xlim(V_MIN - 0.3, V_MAX + 0.3)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.25)
    axes.grid(axis="y", color=GRID)
    axes.set_xlabel("value")
    axes.set_ylabel("probability")


if __name__ == "__main__":
    draw_labels(Path(sys.argv[1]))
