"""Chess without search: an engine's value of every legal move, learned by any value loss.

Ruoss et al. 2024 (arXiv 2402.04494), with HL-Gauss as in arXiv 2403.03950, section 4.3: the most valuable
move is played. Deviations from the paper: the network scores all legal moves of a position in one pass, and
the loss is the mean over up to `moves` of them, neighbours in the list from a random one on; the data is made
by `catzoo data chess`.

Nets alone do not finish won games: all moves that win look alike. So a move after which the game is drawn,
or a position comes back, counts as a draw, as the paper's does on the third time; and where the game is as
good as won, captures and pawns' moves, which cannot be taken back, count `progress` more, the longer there
was none, but never more than a mate in sight.

Legend: B batch, M moves, K outputs per value.
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from catzoo.agents.agent import Agent
from catzoo.agents.collecting.exploration import Exploration
from catzoo.agents.feeds.dataset_feed import DatasetFeed
from catzoo.agents.learning.batches import Positions
from catzoo.agents.learning.targets import copy_parameters, follow_parameters, target_of
from catzoo.agents.networks.after_states import AfterStates
from catzoo.agents.networks.board_transformer import BoardTransformer, is_move, split
from catzoo.agents.networks.chess_attacks import PAWN, THEIRS
from catzoo.agents.replay.episode_replays import PositionReplay
from catzoo.hparams import ChessRecipe
from catzoo.losses import ValueLoss

DRAWS, DRAW = 5, 0.5
"""The kind of a move after which the game is drawn, or a position comes back, and what it counts."""
WON = 0.9
"""A best move of this value or more wins, give or take a net's error."""
MATES = 0.98
"""Only mates have a larger value in the data, see `zoo/datasets/chess_self_play.py`. A net's errors put other
won moves there too: three in four, where one of the zoo's agent is as good as won. With 0.99 or 0.995 it wins
no more games (41 and 42 of 200 against Stockfish's lowest level, with 0.98 49)."""
CLOCK, PATIENCE = 69, 10
"""The byte of the clock, and half-moves that double `progress`."""
FIRST = 20.0
"""More than any progress counts: at most 1 + 100 / `PATIENCE`."""


class Chess(Agent):
    """Distils an engine's action values; arguments as `Agent`.

    What acts is `average`, whose weights follow those that learn.
    """

    feed = DatasetFeed
    from_a_list = True
    family = Positions
    replay = PositionReplay
    network_class = BoardTransformer
    followers: ClassVar = {"network.": "average."}  # only learning takes the network itself

    def __init__(
        self, network: BoardTransformer | AfterStates, value_loss: ValueLoss, recipe: ChessRecipe
    ) -> None:
        super().__init__(network, value_loss, recipe)
        self.average = target_of(network)

    def critic_loss(self, batch: Positions) -> tuple[Tensor, Tensor]:
        """The mean over a position's moves: (loss [B], mean size of the error [B])."""
        outputs_BMK = self.outputs_of(batch.board, batch.action)
        share_BM = batch.live / batch.live.sum(1, keepdim=True)
        loss_BM = self.value_loss(outputs_BMK, batch.value)
        error_BM = (batch.value - self.value_loss.decode(outputs_BMK.detach())).abs()
        return (loss_BM * share_BM).sum(1), (error_BM * share_BM).sum(1)

    def follow(self) -> None:
        """The average comes nearer."""
        follow_parameters(self.network, self.average, 1 - self.recipe.average)

    def update_target(self) -> None:
        """After a reset."""
        copy_parameters(self.network, self.average)

    def values(self, observation: Tensor) -> Tensor:
        """The values [B, M] of the moves of observations [B, 70 + 3 M]; -inf where there is none."""
        return self._values(observation, self.average(observation))

    def _values(self, observation: Tensor, outputs_BMK: Tensor) -> Tensor:
        _, move = split(observation)
        value_BM = self.value_loss.decode(outputs_BMK)
        value_BM = value_BM.masked_fill(move[..., 2] == DRAWS, DRAW)
        return value_BM.masked_fill(~is_move(move), -torch.inf)

    def _preferred(self, observation: Tensor, value_BM: Tensor) -> Tensor:
        """The values [B, M] by which a move is chosen: progress counts where the game is won."""
        board, move = split(observation)
        left_BM, reached_BM = (board.gather(1, move[..., i].long()) for i in (0, 1))
        onward_BM = ((left_BM == PAWN) | (reached_BM > THEIRS)) & (move[..., 2] != DRAWS)
        won_B1 = value_BM.amax(1, keepdim=True) >= WON
        worth_B1 = self.recipe.progress * (1 + board[:, CLOCK : CLOCK + 1] / PATIENCE)
        # Mates in sight come first, the nearest one before all.
        return torch.where(value_BM > MATES, FIRST + value_BM, value_BM + worth_B1 * (onward_BM & won_B1))

    @torch.no_grad()
    def appraise(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs [B, M, K] of all moves, and the best legal ones [B]."""
        outputs_BMK = self.average(observation)
        value_BM = self._values(observation, outputs_BMK)
        return outputs_BMK, self._preferred(observation, value_BM).argmax(dim=-1)

    @torch.no_grad()
    def ranking(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """The values [B, M] of the moves, and their indices [B, M] in the order in which it likes them."""
        value_BM = self.values(observation)
        return value_BM, self._preferred(observation, value_BM).argsort(dim=-1, descending=True)

    def policy(self, space: gym.Space, *, seed: int = 0, network: nn.Module | None = None) -> _Player:
        """What plays: the best legal move, with a share of random legal ones."""
        return _Player(self, seed=seed)

    def chosen_and_targets(self, batch: Positions) -> tuple[Tensor, Tensor]:
        """The outputs [X, K] of all moves of a batch, and the values [X] that they learn."""
        return self.outputs_of(batch.board, batch.action)[batch.live], batch.value[batch.live]

    def outputs_of(self, observation: Tensor, action: Tensor) -> Tensor:
        """The outputs [B, M, K] of moves [B, M, 3] on boards [B, 70]."""
        return self.network(observation, action)


class _Player(Exploration):
    """Legal moves: any with probability `epsilon`, else the agent's."""

    def __init__(self, agent: Chess, *, seed: int = 0) -> None:
        super().__init__(agent.average, seed=seed)
        self.appraise = agent.appraise

    def forward(self, observation: Tensor) -> Any:
        """Observations [N, ...] to indices of moves [N], on the host."""
        count = is_move(split(observation)[1]).sum(1).cpu().numpy()
        explore = self.random.random(len(observation)) < self.epsilon
        anywhere = self.random.integers(np.maximum(count, 1))
        return np.where(explore, anywhere, self.appraise(observation)[1].cpu().numpy())
