"""The zoo's agents: names to classes."""

from __future__ import annotations

from collections.abc import Callable

from catzoo.agents import CQL, DQN, PQN, Agent

AGENTS: dict[str, Callable[..., Agent]] = {"dqn": DQN, "rainbow": DQN, "pqn": PQN, "cql": CQL}
"""The class behind each recipe file; Rainbow is DQN with its options together."""
