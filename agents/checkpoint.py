"""Checkpoints: what a continued run needs, in TorchRL's pickle-free, atomically published folders.

Saved: network, target network, Adam's moments, replay, the steps that wait for their n-step return,
counters, recent scores, exploration, and the random states of Python, NumPy and torch. Not saved: the
simulators. A continued run opens new episodes with fresh seeds, and the steps that were waiting are
marked truncated.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torchrl.checkpoint import Checkpoint, CheckpointError, CheckpointRotation, GlobalRNGState

from catzoo.agents.agent import Agent
from catzoo.agents.collector import Episode

FORMAT = 2
"""Of what a checkpoint holds."""


class _Counters:
    """The agent's own counters, as a component."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def state_dict(self) -> dict[str, Any]:
        agent = self.agent
        return {
            "format": FORMAT,
            "steps": agent.steps,
            "updates": agent.updates,
            "num_episodes": agent.num_episodes,
            "recent": [list(episode) for episode in agent.recent],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state.get("format") != FORMAT:
            raise CheckpointError("written by another version of catzoo: begin anew in another folder")
        agent = self.agent
        agent.steps, agent.updates = int(state["steps"]), int(state["updates"])
        agent.num_episodes = int(state["num_episodes"])
        agent.recent.clear()
        agent.recent.extend(Episode(*episode) for episode in state["recent"])


class Checkpoints:
    """The checkpoints of one run; the newest `keep` stay.

    Args:
        folder: where they lie, one folder each, named by step.
        agent: attached to its environments.
        keep: how many.
    """

    def __init__(self, folder: Path, agent: Agent, keep: int = 2) -> None:
        self.agent = agent
        self.rotation = CheckpointRotation(folder, keep_last=keep, prefix="step")
        self.checkpoint = Checkpoint(
            counters=_Counters(agent),  # first: it knows the format of all
            agent=agent,
            collector=agent.collector,
            **agent.components(),
            random=GlobalRNGState(),
        )

    def save(self) -> Path | None:
        """Publishes a checkpoint of now by rename; None before there is anything to go on from."""
        if not self.agent.has_experience:
            return None
        self.agent.rollouts.rest()
        return self.rotation.save(self.checkpoint, step=self.agent.steps)

    def restore(self) -> int | None:
        """Loads the newest complete checkpoint; returns its step, or None if there is none.

        Raises:
            CheckpointError: checkpoints are there, and none can be read.
        """
        failure: Exception | None = None
        for path in reversed(self.rotation.checkpoints()):
            try:
                self.checkpoint.load(path)
            except (CheckpointError, OSError, ValueError, KeyError, RuntimeError) as error:
                failure = error
                continue
            self.agent.begin_anew()
            return self.agent.steps
        if failure is None and any(self.rotation.directory.glob("step-*")):
            failure = CheckpointError("no manifest can be read")
        if failure is not None:
            raise CheckpointError(f"{self.rotation.directory}: no readable checkpoint: {failure}")
        return None
