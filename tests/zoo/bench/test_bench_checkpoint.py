"""`catzoo bench checkpoint`: it runs, every row is there, and nothing is left behind."""

import csv

import pytest
import torch

from catzoo.agents.replay import FrameStore
from catzoo.hparams import RecipeError
from catzoo.zoo.bench import checkpoint
from catzoo.zoo.bench.checkpoint import COLUMNS, Noise, bench_checkpoint, check_room

TINY = {"transitions": (300,), "between": 128, "rounds": 2, "iterations": 2, "probe": 1 << 16}


def test_rows_and_file(tmp_path):
    said, scratch = [], tmp_path / "scratch"
    scratch.mkdir()
    rows = bench_checkpoint(tmp_path / "out", scratch=scratch, progress=said.append, command="it", **TINY)
    whats = ["fill", "save_first", "spill", "save_next", "disk", "iteration", "restore"]
    assert [(row["part"], row["what"]) for row in rows] == [
        (part, what) for part in ("dqn", "rainbow") for what in whats
    ]
    assert len(said) == len(rows)
    assert list(scratch.iterdir()) == []
    sizes = {row["what"]: row["gb"] for row in rows if row["part"] == "dqn"}
    # Everything once, and then what came since.
    assert sizes["save_first"] > sizes["fill"] > 300 * 84 * 84 / 1e9
    assert sizes["fill"] < sizes["disk"] < sizes["save_first"] + 2 * sizes["save_next"]
    with (tmp_path / "out" / "checkpoint.csv").open() as stream:
        written = list(csv.DictReader(stream))
    assert tuple(written[0]) == COLUMNS
    assert [row["gb"] for row in written] == [str(row["gb"]) for row in rows]
    assert all(row["disk_mb_s"] and row["date"] and row["versions"] and row["device"] for row in written)


def test_too_little_room_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoint, "usable_memory", lambda: 10**9)
    with pytest.raises(RecipeError, match=r"1000000 transitions need 7.4 GB in memory and 1.0 GB are free"):
        check_room(1_000_000, tmp_path)
    with pytest.raises(RecipeError, match=r"need 735.* GB in memory"):
        bench_checkpoint(None, transitions=(10**8,), scratch=tmp_path)
    with pytest.raises(RecipeError, match="unknown part 'pqn'"):
        bench_checkpoint(None, parts=("pqn",))
    assert list(tmp_path.iterdir()) == []


def test_noise_goes_on_from_rollout_to_rollout():
    source, store = Noise(envs=2, time=9), FrameStore(1000)
    first, second = source(), source()
    assert torch.equal(first["next", "observation"][:, -1], second["observation"][:, 0])
    store.add(first)
    before = store.count
    store.add(second)
    assert store.count - before == 18
