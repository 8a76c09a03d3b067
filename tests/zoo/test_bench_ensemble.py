"""The benchmark of ensembles: it runs, and every row that is asked for is there."""

import csv

import pytest

from catzoo.hparams import RecipeError
from catzoo.zoo.bench.ensemble import COLUMNS, bench_ensemble


def test_rows_and_file(tmp_path):
    said = []
    rows = bench_ensemble(
        tmp_path,
        cases=("CartPole-v1:8", "MinAtar/Breakout-v1"),
        losses=("mse",),
        seeds=(1, 2),
        rounds=2,
        seconds=0.01,
        command="it",
        progress=said.append,
        isolate=False,
    )
    assert [(row["env"], row["side"], row["seeds"]) for row in rows] == [
        (env, *side)
        for env in ("CartPole-v1", "MinAtar/Breakout-v1")
        for side in (("run", 1), ("ensemble", 1), ("ensemble", 2))
    ]
    assert len(said) == len(rows)
    assert all(row["steps_per_second"] > 0 for row in rows)
    assert [row["ratio"] for row in rows if row["side"] == "run"] == [1.0, 1.0]
    with (tmp_path / "ensemble.csv").open() as stream:
        written = list(csv.DictReader(stream))
    assert tuple(written[0]) == COLUMNS
    assert all(row["date"] and row["versions"] and row["device"] and row["command"] for row in written)


def test_without_out_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match="unknown environment"):
        bench_ensemble(None, cases=("CartPole-v7",), seeds=(1,))
    assert list(tmp_path.iterdir()) == []
