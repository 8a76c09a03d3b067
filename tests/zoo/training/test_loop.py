"""The loop's loggers."""

import sys

from tiny_runs_for_tests import tiny


def test_without_tensorboard_a_line_says_so_and_the_run_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    tiny(tmp_path / "run", steps=100)
    said = capsys.readouterr().out.replace("\n", " ")
    assert "TensorBoard is left out: " in said
    assert said.endswith(f"the metrics are in {tmp_path / 'run' / 'metrics.csv'} ")
    assert not (tmp_path / "run" / "tensorboard").exists()
