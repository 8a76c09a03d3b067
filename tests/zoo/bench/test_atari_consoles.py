"""Both sides of the comparison are measured, and written down."""

from catzoo.zoo.bench.atari_consoles import COLUMNS, bench_consoles
from catzoo.zoo.system.csv_rows import read_rows


def test_rows_and_file(tmp_path):
    rows = bench_consoles(["ALE/Pong-v5"], turns=2, steps=3, out=tmp_path / "out.csv", command="it")
    assert [(row["env"], row["environment"]) for row in rows] == [
        ("ALE/Pong-v5", "ours"), ("ALE/Pong-v5", "AtariVectorEnv"),
    ]  # fmt: skip
    assert all(float(row["steps_per_cpu_second"]) > 0 for row in rows)
    written = read_rows(tmp_path / "out.csv")
    assert tuple(written[0]) == COLUMNS
    assert "ale-py=" in written[0]["versions"]
