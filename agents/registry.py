"""The zoo's agents: names to classes.

Each has its recipe's class in `catzoo.hparams.RECIPES`, and its recipes in `zoo/recipes/NAME.yaml`.
"""

from __future__ import annotations

from catzoo.agents.agent import Agent
from catzoo.agents.chess import Chess
from catzoo.agents.cql import CQL
from catzoo.agents.dqn import DQN
from catzoo.agents.impala import IMPALA
from catzoo.agents.ppo import PPO
from catzoo.agents.pqn import PQN
from catzoo.agents.q_transformer import QTransformer
from catzoo.agents.sac import SAC
from catzoo.agents.td3 import TD3
from catzoo.agents.wordle import Wordle

AGENTS: dict[str, type[Agent]] = {
    "dqn": DQN,
    "rainbow": DQN,
    "pqn": PQN,
    "cql": CQL,
    "sac": SAC,
    "td3": TD3,
    "ppo": PPO,
    "impala": IMPALA,
    "chess": Chess,
    "q_transformer": QTransformer,
    "wordle": Wordle,
}
"""Rainbow is DQN with its options together."""
