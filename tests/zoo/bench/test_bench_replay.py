"""`catzoo bench replay`: it runs, and every row that is asked for is there."""

import csv

import pytest
import torch

from catzoo.agents.replay import FrameStore
from catzoo.zoo.bench.atari_frames import Frames
from catzoo.zoo.bench.replay import COLUMNS, bench_replay

TINY = {
    "capacities": (50, 60),
    "batches": ((1, 4), (2, 4)),
    "stored": 200,
    "filled": 300,
    "budget": 1e-4,
}


def test_rows_and_file(tmp_path):
    said = []
    rows = bench_replay(tmp_path / "out", progress=said.append, command="it", **TINY)
    keys = [(row["part"], row["what"], row["side"], row["capacity"], row["batch"]) for row in rows]
    assert len(set(keys)) == len(keys) == len(said) == 1 + 2 * 2 * 4 + 2 + 2 * 2
    assert {key[:3] for key in keys} == {
        ("memory", "fill", "frames"),
        *(("priorities", what, "catzoo") for what in ("sample", "update_priority")),
        *(("priorities", what, "torchrl") for what in ("sample", "update_priority")),
        *(("store", what, side) for what in ("add", "sample") for side in ("whole", "frames")),
    }  # fmt: skip
    assert all(row["p50_us"] > 0 for row in rows if row["part"] != "memory")
    with (tmp_path / "out" / "replay.csv").open() as stream:
        written = list(csv.DictReader(stream))
    assert tuple(written[0]) == COLUMNS
    assert [row["p50_us"] for row in written] == [str(row["p50_us"]) for row in rows]
    assert all(row["date"] and row["versions"] and row["device"] and row["load"] for row in written)


def test_without_out_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bench_replay(None, parts=("memory",), progress=[].append, **TINY)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="unknown part 'memry'"):
        bench_replay(None, parts=("memry",))


def test_rollouts_are_stacks_that_follow_each_other():
    source, store = Frames(envs=2, time=5), FrameStore(1000)
    first, second = source(), source()
    assert torch.equal(first["next", "observation"][:, -1], second["observation"][:, 0])
    assert torch.equal(first["observation"][:, 1:], first["next", "observation"][:, :-1])
    store.add(first)
    before = store.count
    store.add(second)
    assert store.count - before == 10
    assert not torch.equal(first["observation"][:, 0], first["observation"][:, 1])
