"""`catzoo reproduce`: the claims of arXiv 2403.03950 as studies that one machine can run.

Each study is a file of its own over one runner: what its tasks are, what each of them measures, and what the
rows say of the claim. Importing this package imports nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from catzoo.hparams import RecipeError
from catzoo.hparams.schema import nearest

if TYPE_CHECKING:
    from catzoo.zoo.studies.study import Study

STUDIES = {
    "ordering": "online, HL-Gauss is above C51, MSE, Two-Hot, in that order, and above MSE on a softmax head",
    "sigma-bins": "the best absolute sigma of HL-Gauss does not depend on the number of bins",
    "reward-noise": "offline, HL-Gauss loses less than MSE when rewards are noisy",
    "stochastic-dynamics": "the gain of classification shrinks when the environment is deterministic",
    "plasticity": "on targets that keep changing MSE loses the ability to fit, Two-Hot less, HL-Gauss least",
    "linear-probe": "a linear head on frozen features learns more from those of HL-Gauss than of MSE",
    "offline": "under CQL HL-Gauss scores above MSE, which decays; under offline SARSA the gain vanishes",
    "value-accuracy": "values learned by cross-entropy are more accurate than those learned by MSE",
    "scaling": "with HL-Gauss scores grow with the network's width and experts, with MSE they do not",
    "theory": "cross-entropy has bounded gradients, HL-Gauss a bias at the edges and a floor of the loss",
}
"""Every study, and what the paper claims there (of `theory`: what follows from its formulas)."""


def find_study(name: str) -> type[Study]:
    """A study's class.

    Raises:
        RecipeError: no such study; the nearest is named.
    """
    if name not in STUDIES:
        raise RecipeError(
            f"unknown study {name!r:.80}: known are {', '.join(STUDIES)}{nearest(name, STUDIES)}"
        )
    return import_module(f"catzoo.zoo.studies.{name.replace('-', '_')}").STUDY  # type: ignore[no-any-return]
