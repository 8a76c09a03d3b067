"""The GPU benchmark runs dry on a CPU: every part, every loss, rows as documented."""

import csv

import torch

from catzoo.losses import LOSSES
from catzoo.zoo.bench.gpu import COLUMNS, bench_gpu, measure
from catzoo.zoo.bench.loops import gpu_loop
from catzoo.zoo.catalogue.recipe_files import find_recipe


def test_dry_run(tmp_path):
    rows = bench_gpu(tmp_path, torch.device("cpu"), batches=(4,), budget=0.02)
    with (tmp_path / "training-gpu.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert len(written) == len(rows)
    assert tuple(written[0]) == COLUMNS
    assert {row["what"] for row in rows if row["part"] == "losses"} == {f"td {name}" for name in LOSSES}
    assert {row["variant"] for row in rows if row["part"] == "learner"} == {"eager", "bf16"}
    assert all(0 < row["p20_us"] <= row["p50_us"] <= row["p80_us"] for row in rows)


def test_loops_run_dry(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_loop, "AGENTS", (("rainbow", "hl_gauss"), ("nobody", "mse"), ("pqn", "hl_gauss")))
    monkeypatch.setattr(
        gpu_loop,
        "loop_recipe",
        lambda agent, loss, env, compute: find_recipe(
            {"nobody": "pqn"}.get(agent, agent),
            env,
            loss,
            [
                {"compute": compute, "steps": 10**9},
                # the one agent breaks, the others learn at once
                {"batch_size": 10**6} if agent == "nobody" else {},
                {"learning_starts": 100} if agent == "rainbow" else {},
            ],
        ),
    )
    rows = gpu_loop.bench_loops(tmp_path, torch.device("cpu"), "CartPole-v1", seconds=0.1)
    assert [row["agent"] for row in rows] == ["rainbow", "rainbow", "pqn", "pqn"]
    with (tmp_path / "loops-gpu.csv").open(newline="") as file:
        assert tuple(next(csv.reader(file))) == gpu_loop.COLUMNS
    assert all(row["updates"] > 0 and row["frames_per_second"] > 0 for row in rows)


def test_a_variant_that_fails_is_left_out_with_a_line(capsys):
    def broken():
        raise RuntimeError("no such kernel\nand a traceback")

    times = measure(
        "td x", {"good": lambda: lambda: None, "broken": broken}, torch.device("cpu"), budget=0.01
    )
    assert set(times) == {"good"}
    assert capsys.readouterr().out == "td x, broken: left out: RuntimeError: no such kernel\n"
