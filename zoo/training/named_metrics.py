"""What an agent is measured by beside the return of its episodes, where its world has measures of its own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from catzoo.hparams import Recipe

WORLDS: Mapping[str, str] = {
    "chess/": "catzoo.zoo.training.chess_metrics",
    "Fetch": "catzoo.zoo.training.robot_metrics",
    "metaworld/": "catzoo.zoo.training.robot_metrics",
    "wordle/": "catzoo.zoo.training.wordle_metrics",
}
"""What the names of a world's environments begin with, and the module whose `metrics` measures an agent.

`metrics(agent, recipe)` gives numbers by name. It draws from random streams of its own.
"""


def named_metrics(agent: Any, recipe: Recipe) -> dict[str, float]:
    """The metrics of an agent in its recipe's world; none where there are no others than returns.

    Of several games in one run there are none: it would not be said which one's they are.
    """
    import torch

    from catzoo.agents.callbacks.evaluation import evaluation_mode

    env = "" if len(recipe.games) > 1 else recipe.env
    module = next((name for prefix, name in WORLDS.items() if env.startswith(prefix)), None)
    if module is None:
        return {}
    with evaluation_mode(agent), torch.no_grad():
        return dict(import_module(module).metrics(agent, recipe))
