"""IMPALA's recipe."""

from __future__ import annotations

from dataclasses import dataclass

from catzoo.hparams.agents.policy_gradient import PolicyGradientRecipe


@dataclass(frozen=True, kw_only=True)
class IMPALARecipe(PolicyGradientRecipe):
    """Actor-critic with V-trace: one pass over every rollout, whole environments in a minibatch."""
