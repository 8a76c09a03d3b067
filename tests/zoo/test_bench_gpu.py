"""The GPU benchmark runs dry on a CPU: every part, every loss, rows as documented."""

import csv

import torch

from catzoo.losses import LOSSES
from catzoo.zoo.bench.gpu import COLUMNS, bench_gpu


def test_dry_run(tmp_path):
    rows = bench_gpu(tmp_path, torch.device("cpu"), batches=(4,), calls=11)
    with (tmp_path / "training-gpu.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert len(written) == len(rows)
    assert tuple(written[0]) == COLUMNS
    assert {row["what"] for row in rows if row["part"] == "losses"} == {f"td {name}" for name in LOSSES}
    assert {row["variant"] for row in rows if row["part"] == "learner"} == {"eager", "bf16"}
    assert all(0 < row["p20_us"] <= row["p50_us"] <= row["p80_us"] for row in rows)
