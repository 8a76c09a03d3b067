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


class _Counters:
    """The agent's own counters, as a component."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.agent.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.agent.updates = int(state["updates"])


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
            agent=agent,
            learner=agent.learner,
            n_step=agent.n_step,
            collector=agent.collector,
            replay=agent.replay,
            counters=_Counters(agent),
            random=GlobalRNGState(),
        )

    def save(self) -> Path | None:
        """Publishes a checkpoint of now by rename; None before there is anything to go on from."""
        if not len(self.agent.replay):
            return None
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
            self.agent.n_step.cut()
            return self.agent.steps
        if failure is None and any(self.rotation.directory.glob("step-*")):
            failure = CheckpointError("no manifest can be read")
        if failure is not None:
            raise CheckpointError(f"{self.rotation.directory}: no readable checkpoint: {failure}")
        return None
