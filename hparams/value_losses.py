"""The one table of value losses: names, titles, keys and looks, known without importing torch.

A loss is its file in `losses/`, its class in `catzoo.losses.LOSSES`, and its row here. One that was added
to `LOSSES` alone gets a row when it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from catzoo.hparams.schema import RecipeError, nearest, shown

_SUPPORT = ("num_bins", "v_min", "v_max", "align", "spacing")


@dataclass(frozen=True)
class LossEntry:
    """What is said of a loss wherever it is named."""

    title: str
    """In pictures and tables."""
    keys: tuple[str, ...] = ()
    """Of `value_loss` in a recipe, beside its name."""
    note: str = ""
    """For `catzoo list`."""
    order: int = -1
    """Which of `LINES` (`zoo/pictures/style.py`) is its, in every picture; -1: none of its own."""


VALUE_LOSSES: dict[str, LossEntry] = {
    "mse": LossEntry("MSE", (), "squared error of one output", 0),
    "huber": LossEntry("Huber", ("delta",), "squared near zero, linear beyond delta", 4),
    "one_hot": LossEntry("One-Hot", _SUPPORT, "cross-entropy to the nearest bin", 7),
    "two_hot": LossEntry("Two-Hot", _SUPPORT, "cross-entropy to the two nearest bins", 1),
    "hl_gauss": LossEntry(
        "HL-Gauss",
        (*_SUPPORT, "sigma", "sigma_ratio", "pad_sigmas"),
        "cross-entropy to a Gaussian's mass in each bin (the paper's best)",
        2,
    ),
    "c51": LossEntry("C51", _SUPPORT, "cross-entropy to the projected return distribution", 3),
    "softmax_mse": LossEntry(
        "Softmax-MSE", _SUPPORT, "squared error of a softmax head's mean (the paper's ablation)", 5
    ),
    "quantile": LossEntry(
        "Quantile", ("num_quantiles", "kappa"), "quantile regression, without a support (QR-DQN)", 6
    ),
}
"""Every value loss, in the order in which they are listed."""


def loss_name(name: str) -> str:
    """The loss's name in recipes, from any common spelling (`HL-Gauss`, `hlgauss`, `TwoHot`).

    Raises:
        RecipeError: no such loss.
    """
    folded = name.lower().replace("-", "").replace("_", "").replace(" ", "")
    for known in VALUE_LOSSES:
        if known.lower().replace("_", "") == folded:
            return known
    raise unknown_loss(name)


def unknown_loss(name: str) -> RecipeError:
    """What to say of a loss that nobody knows."""
    hint = nearest(name, VALUE_LOSSES)
    return RecipeError(f"unknown loss {shown(name)}: must be one of {', '.join(VALUE_LOSSES)}{hint}")


def loss_title(name: str) -> str:
    """The loss's title; the name itself where it has none."""
    return VALUE_LOSSES[name].title if name in VALUE_LOSSES else name
