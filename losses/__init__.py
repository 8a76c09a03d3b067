"""Value losses: regression and classification behind one interface, by name in `LOSSES`."""

import difflib
from typing import Any

from catzoo.losses.base import CategoricalLoss, ScalarLoss, ValueLoss, take_action
from catzoo.losses.c51 import C51
from catzoo.losses.hl_gauss import HLGauss
from catzoo.losses.huber import Huber
from catzoo.losses.mse import MSE
from catzoo.losses.one_hot import OneHot
from catzoo.losses.quantile import QuantileRegression
from catzoo.losses.softmax_mse import SoftmaxMSE
from catzoo.losses.support import Align, Support
from catzoo.losses.two_hot import TwoHot

LOSSES: dict[str, type[ValueLoss]] = {
    "mse": MSE,
    "huber": Huber,
    "one_hot": OneHot,
    "two_hot": TwoHot,
    "hl_gauss": HLGauss,
    "c51": C51,
    "softmax_mse": SoftmaxMSE,
    "quantile": QuantileRegression,
}


def make_value_loss(name: str, **kwargs: Any) -> ValueLoss:
    """The loss of that name, with its own arguments; ValueError with the nearest name if there is none."""
    if name not in LOSSES:
        near = difflib.get_close_matches(name, LOSSES, n=1, cutoff=0.0)[0]
        raise ValueError(f"value loss must be one of {', '.join(LOSSES)}; got {name!r} (nearest: {near})")
    return LOSSES[name](**kwargs)


__all__ = [
    "C51",
    "LOSSES",
    "MSE",
    "Align",
    "CategoricalLoss",
    "HLGauss",
    "Huber",
    "OneHot",
    "QuantileRegression",
    "ScalarLoss",
    "SoftmaxMSE",
    "Support",
    "TwoHot",
    "ValueLoss",
    "make_value_loss",
    "take_action",
]
