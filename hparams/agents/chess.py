"""The recipe of chess without search."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from catzoo.hparams.agents.from_dataset import FromDataset, refuse_reward_clip
from catzoo.hparams.components import SequenceNetworkConfig
from catzoo.hparams.recipe import Recipe
from catzoo.hparams.schema import RecipeError, bounded


@dataclass(frozen=True, kw_only=True)
class BoardNetworkConfig(SequenceNetworkConfig):
    """What scores the moves on a board."""

    name: Literal["transformer", "after_states"] = "transformer"
    """A transformer over the squares, as in the paper, or sums of a table's rows for the positions after each
    move, with who attacks what: a quarter of an update's time, and stronger after minutes."""
    num_layers: int = bounded(4, at_least=1, at_most=1_000)
    """Blocks of attention and feed-forward layer; of after_states layers, a quarter of the size wide."""
    num_heads: int = bounded(8, at_least=1, at_most=1_000)
    """Of each attention; they divide the size. Eight have a piece's way to move each."""
    geometry: bool = True
    """Attention begins with how pieces move; else with nothing."""


@dataclass(frozen=True, kw_only=True)
class ChessRecipe(FromDataset, Recipe):
    """Chess without search: an engine's values of all legal moves, from a dataset."""

    moves: int | None = bounded(32, at_least=1, at_most=218)
    """Moves of a position that are learned from, neighbours in its list where there are more; null: all."""
    average: float = bounded(0.99, at_least=0, at_most=0.999_999)
    """What the weights that play keep of themselves at every update; the rest is of those that learn."""
    progress: float = bounded(0.02, at_least=0, at_most=1)
    """What captures and pawns' moves count more where a game is won; twice that ten half-moves later."""
    network: BoardNetworkConfig = field(default_factory=BoardNetworkConfig)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        refuse_reward_clip(self)
        if self.moves is None and self.compute.cuda_graph:
            raise RecipeError("compute.cuda_graph needs batches of one shape: moves=218 instead of null")
