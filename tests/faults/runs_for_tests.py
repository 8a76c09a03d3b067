"""Small runs of the command `catzoo train`, to be broken, and what makes two of them the same."""

import json
import os
import subprocess
import sys

import torch
from safetensors.torch import load_file

from catzoo.zoo.cli.main import main
from catzoo.zoo.system.csv_rows import read_rows

LONG = bool(os.environ.get("CATZOO_LONG"))
"""Whether to take the time that it takes; `make faults` sets it."""
SMALL = [
    "num_envs=4", "rollout_length=4", "batch_size=16", "network.hidden=[16]", "compute.threads=1",
    "log_every=150", "checkpoint_every=250", "eval.episodes=3", "eval.interim_episodes=2", "eval.every=0",
]  # fmt: skip
OFF_POLICY = ["learning_starts=100", "updates_per_step=0.25", "replay.capacity=1500"]
REPLAY = [*OFF_POLICY, "target_update_every=20"]
OF_AGENT = {"dqn": REPLAY, "rainbow": REPLAY, "sac": OFF_POLICY, "pqn": [], "ppo": ["epochs=2"]}
"""What an agent's small run has beside `SMALL`."""


def command(agent, env, loss, steps, run_dir, *more):
    """What comes after `catzoo` on the command line."""
    where = ["--steps", str(steps), "--run-dir", str(run_dir)]
    return ["train", agent, "--env", env, "--loss", loss, *where, *SMALL, *OF_AGENT[agent], *more]


def start(words):
    """A process of the command."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-m", "catzoo", *words]
    return subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def run_here(words):
    """The command, in this process, to its end."""
    assert main(words) == 0


def saved_steps(run_dir):
    """Steps of the checkpoints in a run's folder, oldest first."""
    return sorted(int(path.name[5:]) for path in (run_dir / "checkpoints").glob("step-*"))


def assert_same_weights(one, other, *, best=True):
    """Two run folders have the same tensors, last and best, bit for bit.

    A run that ended, and was then made longer, has looked for the best at its first end as well: there the
    best ones may be others.
    """
    for file in ("weights.safetensors", "weights-best.safetensors")[: 1 + best]:
        ours, theirs = (load_file(folder / file) for folder in (one, other))
        assert ours.keys() == theirs.keys()
        assert [name for name, tensor in ours.items() if not torch.equal(tensor, theirs[name])] == []


def assert_same_runs(one, other):
    """Two finished run folders tell of the same run: all but the clock, the date, and where it lies."""
    ours, theirs = (
        [
            {name: cell for name, cell in row.items() if not name.startswith("time/")}
            for row in read_rows(folder / "metrics.csv")
        ]
        for folder in (one, other)
    )
    assert ours == theirs
    assert (one / "episodes.csv").read_text() == (other / "episodes.csv").read_text()
    assert_same_weights(one, other)
    ours, theirs = (json.loads((folder / "result.json").read_text()) for folder in (one, other))
    for name in ("steps", "returns", "train_return"):
        assert ours[name] == theirs[name], name
    ours, theirs = ({path.name for path in folder.iterdir()} for folder in (one, other))
    assert ours == theirs  # nothing is left of what was broken off
