"""Studies of small runs."""

from pathlib import Path

from catzoo.zoo.system.csv_rows import read_rows

TINY = [
    "num_envs=4", "rollout_length=4", "batch_size=8", "network.hidden=[16]", "log_every=100",
    "learning_starts=60", "replay.capacity=300", "checkpoint_every=150", "eval.episodes=3",
]  # fmt: skip
TINY_STUDY = {"steps": 400, "seeds": 2, "confirm": 0, "overrides": TINY, "progress": None}


def numbers(folder):
    """What a study's trials are, by number."""
    rows = read_rows(Path(folder) / "trials.csv")
    return {int(row["trial"]): {name: row[name] for name in row if name != "trial"} for row in rows}
