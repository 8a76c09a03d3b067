"""Catzoo: deep RL agents whose value functions classify instead of regress.

`train`, `evaluate` and `watch` do what the commands of those names do (`evaluate` is `catzoo eval`),
`train_many` trains a list of games, `tune` makes a study, `gather` reads the scores of many runs, and
`report` compares them on a page. They are imported on first use, so that `import catzoo` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from catzoo.zoo.evaluation import evaluate
    from catzoo.zoo.gathering import gather
    from catzoo.zoo.many import train_many
    from catzoo.zoo.reporting.report import report
    from catzoo.zoo.runs import load_agent
    from catzoo.zoo.studies.reproduce import reproduce
    from catzoo.zoo.training import train
    from catzoo.zoo.tuning.tune import tune
    from catzoo.zoo.watching import watch

_LAZY = {
    "evaluate": "catzoo.zoo.evaluation",
    "gather": "catzoo.zoo.gathering",
    "load_agent": "catzoo.zoo.runs",
    "report": "catzoo.zoo.reporting.report",
    "reproduce": "catzoo.zoo.studies.reproduce",
    "train": "catzoo.zoo.training",
    "train_many": "catzoo.zoo.many",
    "tune": "catzoo.zoo.tuning.tune",
    "watch": "catzoo.zoo.watching",
}

__all__ = [
    "__version__",
    "evaluate",
    "gather",
    "load_agent",
    "report",
    "reproduce",
    "train",
    "train_many",
    "tune",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'catzoo' has no attribute {name!r}")
