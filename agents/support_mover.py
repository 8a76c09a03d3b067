"""Moves an adaptive support while an agent learns: looks at targets, and re-projects heads."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from catzoo.agents.callbacks.evaluation import evaluation_mode
from catzoo.agents.learning.adaptive_support import NARROW, Ends, grown, halved
from catzoo.agents.learning.learner import Learner
from catzoo.agents.learning.reprojection import Moved, reproject
from catzoo.agents.networks import QNetwork

if TYPE_CHECKING:
    from catzoo.agents.agent import Agent
    from catzoo.agents.bookkeeping import Bookkeeping

EVERY = 32
"""Updates between looks at the targets of a batch."""
SEEN = 4_096
"""Newest targets that the ends go by."""
OUTSIDE = 0.005
"""Share of them that may lie beyond an end."""
PATIENCE = 200
"""Looks in a row at which a support is too wide before it is halved."""
STATES = 1_024
"""Of the newest batches, to which the heads are fitted."""
FARTHEST = 1e30
"""What a recipe takes for an end; further out nothing moves."""


class SupportMover:
    """Of an agent with an adaptive support.

    Args:
        agent: who learns.
        learner: whose moments move with the head.
    """

    def __init__(self, agent: Agent, learner: Learner) -> None:
        self.agent, self.learner = agent, learner
        self.targets = torch.zeros(0)
        self.wide = 0
        """Looks in a row at which the support was too wide."""

    def look(self, batches: Any, books: Bookkeeping) -> Ends | None:
        """Called after the updates on batches [K, B, ...]; the new ends, if the support is to move."""
        if books.updates // EVERY == (books.updates - len(batches.action)) // EVERY:
            return None
        target_B = chosen_and_targets(self.agent, batches.at(-1))[1].float().cpu()
        seen = self.learner.ranks.rows(target_B[target_B.isfinite()])
        self.targets = torch.cat([self.targets, seen])[-SEEN:]
        now: Ends = tuple(self.agent.adaptive.ends.tolist())
        ends = self._wanted(now)
        return ends if ends != now and math.isfinite(sum(ends)) and max(map(abs, ends)) <= FARTHEST else None

    def _wanted(self, now: Ends) -> Ends:
        if not len(self.targets):
            return now
        low, high = self.targets.quantile(torch.tensor([OUTSIDE, 1 - OUTSIDE])).tolist()
        ends, span = grown(now, low, high), now[1] - now[0]
        narrow = high - low < NARROW * span and span >= 2 * self.agent.adaptive.finest
        self.wide = self.wide + 1 if ends == now and narrow else 0
        if self.wide < PATIENCE:
            return ends
        self.wide = 0
        return halved(now, low, high)

    @torch.no_grad()
    def move(self, ends: Ends, batches: Any) -> None:
        """Moves the support, all heads at once; nothing may be collected meanwhile."""
        agent, loss, before = self.agent, self.agent.value_loss, self.agent.value_loss.support
        agent.adaptive.ends.copy_(torch.tensor(ends))
        agent.adaptive.settle(loss, agent.network)
        moved = Moved(before, loss.support)
        observation = batches.observation.flatten(0, 1)
        observation = observation[:: math.ceil(len(observation) / STATES)]
        with evaluation_mode(agent):
            for network in (part for part in agent.modules() if isinstance(part, QNetwork)):
                reproject(network.head, moved, network.features(observation), self.learner.optimizers)

    def state_dict(self) -> dict[str, Any]:
        """What was seen."""
        return {"targets": self.targets, "wide": self.wide}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores it."""
        self.targets, self.wide = state["targets"].clone(), int(state["wide"])


@torch.no_grad()
def chosen_and_targets(agent: Agent, batch: Any) -> tuple[Tensor, Tensor]:
    """The outputs [B, K] of the actions of a batch [B, ...], and the targets [B] that they learn.

    Whoever looks changes nothing: a target that is a sample takes nothing from the run's random stream.
    """
    device = batch.action.device
    # Two passes of a noisy network would not fit together.
    with evaluation_mode(agent), torch.random.fork_rng([device] if device.type == "cuda" else []):
        return agent.chosen_and_targets(batch)
