"""The zoo's agents: names to classes.

Each has its recipe's class in `catzoo.hparams.RECIPES`, and its recipes in `zoo/recipes/NAME.yaml`.
"""

from __future__ import annotations

from catzoo.agents.agent import Agent
from catzoo.agents.cql import CQL
from catzoo.agents.dqn import DQN
from catzoo.agents.pqn import PQN
from catzoo.agents.sac import SAC

AGENTS: dict[str, type[Agent]] = {"dqn": DQN, "rainbow": DQN, "pqn": PQN, "cql": CQL, "sac": SAC}
"""Rainbow is DQN with its options together."""
