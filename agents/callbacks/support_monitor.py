"""The support monitor: how targets lie in a categorical loss's support."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from catzoo.agents.at_work import AtWork
from catzoo.agents.lightning import LightningAgent
from catzoo.agents.support_mover import chosen_and_targets
from catzoo.losses import CategoricalLoss, ValueLoss

SEEN = 100_000
"""Targets that the advice on a support goes by."""
ROUNDING = 1e-5
"""Share of the larger end by which a target beyond an end is still at it."""
FARTHEST = 1e30
"""What a recipe takes for an end."""
RARE = 0.001
"""Share of the targets that a good support may clip at an end."""


@dataclass
class SupportReport:
    """How well a support fits the targets that were learned from."""

    v_min: float
    v_max: float
    targets: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    """The newest `SEEN` of those that were looked at."""
    returns: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Of episodes, discounted; as many."""
    sigma: float | None = None
    """HL-Gauss's, where the recipe has it in units of value: a wider support needs a wider one."""
    unit: float = 1.0
    """Of the numbers above, in those of the environment's rewards; advice is in these."""
    auto: bool = False
    """Whether the recipe could have an automatic support, and has not."""
    adaptive: bool = False
    """Whether the ends move by themselves; then there is no advice."""

    def add(self, targets: np.ndarray, returns: Sequence[float]) -> None:
        """Takes more of both."""
        self.targets = np.concatenate([self.targets, targets])[-SEEN:]
        self.returns = np.concatenate([self.returns, returns])[-SEEN:]

    def clipped(self, targets: np.ndarray | None = None) -> tuple[float, float]:
        """Share of the targets, of those seen by default, below v_min and above v_max."""
        targets = self.targets if targets is None else targets
        if not len(targets):
            return 0.0, 0.0
        # They are sums of float32 values, and one at an end may come out beyond it.
        rounding = ROUNDING * max(abs(self.v_min), abs(self.v_max))
        below, above = targets < self.v_min - rounding, targets > self.v_max + rounding
        return float(below.mean()), float(above.mean())

    def advice(self) -> str | None:
        """One line with a wider support if more than 1 % was clipped; it only moves ends that clip."""
        below, above = self.clipped()
        if self.adaptive or below + above <= 0.01:
            return None
        # A clipped target says only that the support is too short, not by how much: the next values are
        # confined to it too. Episode returns are not.
        seen = [kind[np.isfinite(kind)].astype(float) for kind in (self.targets, self.returns)]
        seen = [kind for kind in seen if len(kind)]
        low = min([self.v_min, *(float(np.quantile(kind, RARE, method="lower")) for kind in seen)])
        high = max([self.v_max, *(float(np.quantile(kind, 1 - RARE, method="higher")) for kind in seen)])
        margin, v_min, v_max = 0.1 * (high - low), self.v_min, self.v_max
        parts, change = [], []
        if below > RARE and v_min > -FARTHEST:
            v_min = max(_rounded(low - margin, margin, math.floor), -FARTHEST)
            parts.append(f"{below:.1%} of the targets fell below v_min={self.v_min:g}")
            change.append(f"value_loss.v_min={self._told(v_min)}")
        if above > RARE and v_max < FARTHEST:
            v_max = min(_rounded(high + margin, margin, math.ceil), FARTHEST)
            parts.append(f"{above:.1%} of the targets rose above v_max={self.v_max:g}")
            change.append(f"value_loss.v_max={self._told(v_max)}")
        if not change:
            return None
        if self.sigma is not None:
            wider = (v_max - v_min) / (self.v_max - self.v_min)
            change.append(f"value_loss.sigma={self.sigma * wider * self.unit:.3g}")
        seen = f"{' and '.join(parts)}; values beyond are seen cut, so that more than this may be needed"
        return f"{seen}: try {' '.join(change)}{', or support=auto' if self.auto else ''}"

    def _told(self, end: float) -> str:
        return f"{end:.12g}" if self.unit == 1.0 else f"{end * self.unit:.3g}"


class SupportMonitor(pl.Callback):
    """Watches how the targets lie in a categorical loss's support.

    Logs, at every row of metrics and from its last batch: `support/below` and `support/above`, the share
    of targets clipped at each end, and `support/low_mass` and `support/high_mass`, the probability that
    the network gives to the two end bins. `support/v_min` and `support/v_max` are where the ends of an
    adaptive support are.

    Args:
        value_loss: with the support, if it has one.
        sigma, auto, adaptive: see `SupportReport`.
    """

    def __init__(
        self,
        value_loss: ValueLoss,
        sigma: float | None = None,
        auto: bool = False,
        adaptive: bool = False,
    ) -> None:
        self.report: SupportReport | None = None
        if isinstance(value_loss, CategoricalLoss):
            support = value_loss.support
            if support.spacing == "symexp":
                sigma = None  # it is symlog's, and does not grow with the ends
            self.report = SupportReport(
                support.v_min, support.v_max, sigma=sigma, auto=auto, adaptive=adaptive
            )
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
        self.report.unit = agent.unit
        ends: dict[str, float] = {}
        if agent.adaptive is not None:
            self.report.v_min, self.report.v_max = agent.adaptive.ends.tolist()
            ends = {"support/v_min": self.report.v_min, "support/v_max": self.report.v_max}
        chosen_BK, target_B = chosen_and_targets(agent, batch)
        targets = target_B.float().cpu().numpy()
        self.report.add(targets, [episode.discounted / self.report.unit for episode in work.recent])
        mass_K = chosen_BK.float().softmax(-1).mean(0)
        below, above = self.report.clipped(targets)
        return {
            "support/below": below,
            "support/above": above,
            "support/low_mass": mass_K[0].item(),
            "support/high_mass": mass_K[-1].item(),
            **ends,
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


def _rounded(value: float, margin: float, outwards: Callable[[float], int]) -> float:
    """To the first digit of the margin: advice, not a measurement."""
    place = math.floor(math.log10(margin))
    step = 10.0**place
    return round(outwards(value / step) * step, -place)
