"""The loop's loggers."""

import sys

from catzoo.zoo.system.csv_rows import read_rows
from tiny_runs_for_tests import tiny


def test_without_tensorboard_a_line_says_so_and_the_run_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    tiny(tmp_path / "run", steps=100)
    said = capsys.readouterr().out.replace("\n", " ")
    assert "TensorBoard is left out: " in said
    assert said.endswith(f"the metrics are in {tmp_path / 'run' / 'metrics.csv'} ")
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_the_shortest_run_has_its_tables(tmp_path):
    """Shorter than an episode and than `log_every`."""
    tiny(tmp_path / "run", "num_envs=2", "rollout_length=2", steps=4)
    rows = read_rows(tmp_path / "run" / "metrics.csv")
    assert [row["step"] for row in rows if row.get("train/updates")] == ["4"]
    assert (tmp_path / "run" / "episodes.csv").read_text() == "step,return,length\n"
