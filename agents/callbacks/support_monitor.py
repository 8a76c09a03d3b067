"""The support monitor: how targets lie in a categorical loss's support."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from catzoo.agents.at_work import AtWork
from catzoo.agents.callbacks.evaluation import evaluation_mode
from catzoo.agents.lightning import LightningAgent
from catzoo.losses import CategoricalLoss, ValueLoss

SEEN = 100_000
"""Targets that the advice on a support goes by."""


@dataclass
class SupportReport:
    """How well a support fits the targets that were learned from."""

    v_min: float
    v_max: float
    targets: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    """The newest `SEEN` of those that were looked at."""
    returns: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Of episodes, discounted; as many."""

    def add(self, targets: np.ndarray, returns: Sequence[float]) -> None:
        """Takes more of both."""
        self.targets = np.concatenate([self.targets, targets])[-SEEN:]
        self.returns = np.concatenate([self.returns, returns])[-SEEN:]

    def clipped(self) -> tuple[float, float]:
        """Share of the targets below v_min and above v_max."""
        if not len(self.targets):
            return 0.0, 0.0
        return float((self.targets < self.v_min).mean()), float((self.targets > self.v_max).mean())

    def advice(self) -> str | None:
        """One line with a better v_min and v_max if more than 1 % was clipped."""
        below, above = self.clipped()
        if below + above <= 0.01:
            return None
        # A clipped target says only that the support is too short, not by how much: the next values are
        # confined to it too. Episode returns are not.
        seen = np.concatenate([self.targets, self.returns])
        low, high = float(np.quantile(seen, 0.001)), float(np.quantile(seen, 0.999))
        margin = 0.1 * max(high - low, 1e-3)
        parts, change = [], []
        if below > 0.001:
            parts.append(f"{below:.1%} of the targets fell below v_min={self.v_min:g}")
            change.append(f"value_loss.v_min={_round(low - margin):g}")
        if above > 0.001:
            parts.append(f"{above:.1%} of the targets rose above v_max={self.v_max:g}")
            change.append(f"value_loss.v_max={_round(high + margin):g}")
        return f"{' and '.join(parts)}: try {' '.join(change)}"


class SupportMonitor(pl.Callback):
    """Watches how the targets lie in a categorical loss's support.

    Logs, at every row of metrics and from its last batch: `support/below` and `support/above`, the share
    of targets clipped at each end, and `support/low_mass` and `support/high_mass`, the probability that
    the network gives to the two end bins.
    """

    def __init__(self, value_loss: ValueLoss) -> None:
        self.support = value_loss.support if isinstance(value_loss, CategoricalLoss) else None
        self.report: SupportReport | None = None
        if self.support is not None:
            self.report = SupportReport(float(self.support.v_min), float(self.support.v_max))
        self._seen: dict[str, float] = {}

    def on_train_start(self, trainer: pl.Trainer, module: LightningAgent) -> None:
        """The row that a continued run has from its checkpoint was looked at before that was saved."""
        self._seen = module.work.metrics

    def on_train_batch_end(self, trainer: pl.Trainer, module: LightningAgent, *_: Any) -> None:
        """Looks at the last batch once per row of metrics."""
        work = module.work
        if self.report is None or work.metrics is self._seen:
            return
        self._seen = work.metrics
        if work.last_batch is not None:
            work.log(self.look(work))

    @torch.no_grad()
    def look(self, work: AtWork) -> dict[str, float]:
        """Targets and end-bin masses of the agent's last batch."""
        assert self.report is not None
        assert work.last_batch is not None
        agent, batch = work.agent, work.last_batch
        with evaluation_mode(agent):  # two passes of a noisy network would not fit together
            outputs_BAK = agent.network(batch.observation)
            td_error_B = agent.critic_loss(batch)[1]
        chosen_BK = outputs_BAK[torch.arange(len(batch.action), device=outputs_BAK.device), batch.action]
        target_B = agent.value_loss.decode(chosen_BK) + td_error_B
        targets = target_B.float().cpu().numpy()
        self.report.add(targets, [episode.discounted for episode in work.recent])
        mass_K = chosen_BK.float().softmax(-1).mean(0)
        return {
            "support/below": float((targets < self.report.v_min).mean()),
            "support/above": float((targets > self.report.v_max).mean()),
            "support/low_mass": mass_K[0].item(),
            "support/high_mass": mass_K[-1].item(),
        }

    def state_dict(self) -> dict[str, Any]:
        """What was seen so far."""
        return {} if self.report is None else {"targets": self.report.targets, "returns": self.report.returns}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores it."""
        if self.report is not None:
            self.report.targets, self.report.returns = state["targets"], state["returns"]

    def advice(self) -> str | None:
        """See `SupportReport.advice`; None for losses without a support."""
        return self.report.advice() if self.report is not None else None


def _round(value: float) -> float:
    """To two significant digits: advice, not a measurement."""
    return float(f"{value:.2g}")
