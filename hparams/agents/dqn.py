"""DQN's recipe; Rainbow has the same keys."""

from __future__ import annotations

from dataclasses import dataclass

from catzoo.hparams.recipe import ActionValues, Bootstrapping, Exploring, Recipe, Replaying


@dataclass(frozen=True, kw_only=True)
class DQNRecipe(ActionValues, Bootstrapping, Replaying, Exploring, Recipe):
    """Q-learning from replay."""
