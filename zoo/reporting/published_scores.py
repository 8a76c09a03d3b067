"""Scores that others published, beside ours where protocol and number of steps are the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from catzoo.zoo import ROOT
from catzoo.zoo.reporting.comparison import Comparison
from catzoo.zoo.system.csv_rows import read_rows

FILE = ROOT / "data" / "published_scores.csv"
"""Columns: env, agent, protocol, steps, mean, std (over seeds), seeds, source; README.md there says more."""
SOURCES = {
    "Dopamine": "Dopamine's are from its logs: 5 seeds, training episodes of the last million frames "
    "(epsilon 0.01; where ours have 200 million frames, theirs have 198).",
    "CleanRL": "CleanRL's are from its documentation: 3 seeds, the last training episodes "
    "(DQN: epsilon 0.05).",
    "SimbaV2": "SimbaV2's are from its repository's results, of its own agent and others: 3 to 10 seeds, "
    "deterministic evaluation.",
    "XQC": "XQC's are from its repository's results: 10 seeds, deterministic evaluation.",
    "TD-MPC2": "TD-MPC2's are from its repository's results, of SAC and DreamerV3: 2 or 3 seeds.",
}
"""What to know about the scores of each source."""
BEFORE = ", v4"
"""Of Gymnasium's MuJoCo nobody's scores of version 5 are here: those of version 4 stand beside it, so marked.
HalfCheetah is the same in both; Hopper, Walker2d, Ant and Humanoid differ a little."""


@dataclass(frozen=True)
class Published:
    """One published mean over seeds."""

    env: str
    agent: str
    protocol: str
    steps: int
    mean: float
    std: float
    """Over seeds."""
    seeds: int
    source: str


@cache
def published() -> list[Published]:
    """All that are known; those of `mujoco-v4` once more beside `mujoco-v5`, see `BEFORE`."""
    rows = [
        Published(
            row["env"], row["agent"], row["protocol"], int(row["steps"]), float(row["mean"]),
            float(row["std"]), int(row["seeds"]), row["source"],
        )
        for row in read_rows(FILE)
    ]  # fmt: skip
    return rows + [
        replace(row, env=row.env.replace("-v4", "-v5"), agent=f"{row.agent}{BEFORE}", protocol="mujoco-v5")
        for row in rows
        if row.protocol == "mujoco-v4"
    ]


def beside(comparison: Comparison) -> list[Published]:
    """The published scores that stand for the same environment, protocol and number of steps as ours."""
    from catzoo.zoo.environments.protocols import protocol_of

    return [
        score
        for score in published()
        if score.protocol == comparison.protocol
        and score.steps == comparison.steps.get(score.env)
        # Options may have changed what the name stands for.
        and comparison.settings[score.env] == protocol_of(score.env).settings
    ]
