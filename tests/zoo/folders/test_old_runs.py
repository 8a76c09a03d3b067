"""Run folders that earlier versions left: `old_runs/format-N.zip`, N being the checkpoints' format.

A new format adds a file: `catzoo train` with the overrides below, without its picture and events.
"""

import shutil
from pathlib import Path

import pytest

from catzoo import evaluate, train
from catzoo.agents.checkpoints.checkpoints import FORMAT
from catzoo.hparams import RecipeError
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.system.csv_rows import read_rows

OLD = Path(__file__).parents[1] / "old_runs"
FORMATS = (2, 3)
SMALL = [
    "num_envs=2", "rollout_length=4", "batch_size=16", "learning_starts=100", "updates_per_step=0.1",
    "replay.capacity=200", "network.hidden=[8]", "value_loss.num_bins=11", "eval.episodes=3", "eval.every=0",
    "log_every=100", "checkpoint_every=100", "compute.threads=1", "compute.device=cpu",
]  # fmt: skip


def unpacked(number, tmp_path):
    shutil.unpack_archive(OLD / f"format-{number}.zip", tmp_path / "run")
    return Run(tmp_path / "run")


def go_on(run):
    return train("dqn", "CartPole-v1", loss="hl_gauss", steps=400, run_dir=run.path, overrides=SMALL)


def test_the_present_format_is_among_them():
    assert FORMATS[-1] == FORMAT


@pytest.mark.parametrize("number", FORMATS)
def test_scores_can_be_repeated(number, tmp_path):
    run = unpacked(number, tmp_path)
    assert run.recipe().replay.capacity == 200
    again = evaluate(run.path)
    assert (again["steps"], again["returns"]) == (300, run.result()["returns"])


def test_what_cannot_go_on_is_left_as_it_is(tmp_path):
    run = unpacked(2, tmp_path)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(RecipeError, match="saved by an earlier version") as refusal:
        go_on(run)
    assert "\n" not in str(refusal.value)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


def test_what_can_goes_on(tmp_path, capsys):
    run = unpacked(3, tmp_path)
    before = read_rows(run.metrics)
    assert go_on(run)["steps"] == 400
    assert "going on from step 305" in capsys.readouterr().out
    after = read_rows(run.metrics)
    assert after[: len(before)] == before
    assert len(after) > len(before)
