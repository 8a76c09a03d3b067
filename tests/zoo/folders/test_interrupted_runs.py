"""Runs, studies and tasks that an earlier version began, and this one ends: `old_runs/interrupted/NAME.zip`.

Each was interrupted in version 0.1.0 when runs were of format 1. It holds the command that goes on with it
(`how.json`), and what that version made of it (`expected/`). On the processor that made them the ends are
equal bit for bit; on others rounding differs, so here what must be equal is what was there before.
"""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from catzoo.hparams.old_formats import FORMAT
from catzoo.zoo.cli.main import main
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.studies.claims.ordering import Ordering
from catzoo.zoo.studies.claims.scaling import Scaling
from catzoo.zoo.system.csv_rows import read_rows
from jobs_for_tests import jobs_here

INTERRUPTED = Path(__file__).parents[1] / "old_runs" / "interrupted"


@pytest.fixture
def goes_on(monkeypatch, capsys):
    """How it was begun, and what the command, with more words, says that goes on with it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def go_on(name, folder, *more):
        shutil.unpack_archive(INTERRUPTED / f"{name}.zip", folder)
        how = json.loads((folder / "how.json").read_text())
        monkeypatch.chdir(folder)
        with jobs_here():
            assert main([*how["argv"], *more]) == 0
        return how, capsys.readouterr().out

    return go_on


@pytest.mark.parametrize("name", ["dqn", "rainbow", "pqn", "cql"])
def test_a_run_goes_on_where_it_was(name, goes_on, tmp_path):
    shutil.unpack_archive(INTERRUPTED / f"run-{name}.zip", tmp_path / "before")
    before = Run(tmp_path / "before" / "run")
    how, said = goes_on(f"run-{name}", tmp_path / "now")
    now, expected = Run(tmp_path / "now" / "run"), Run(tmp_path / "now" / "expected")
    assert how["goes_on"] in said
    assert now.result()["steps"] == expected.result()["steps"] == now.recipe().steps
    had = read_rows(before.metrics)
    assert len(had) > 1
    assert read_rows(now.metrics)[: len(had)] == had
    assert [row["step"] for row in read_rows(now.metrics)] == [
        row["step"] for row in read_rows(expected.metrics)
    ]
    assert yaml.safe_load(before.recipe_file.read_text())["catzoo"]["format"] == 1
    assert yaml.safe_load(now.recipe_file.read_text())["catzoo"]["format"] == FORMAT
    assert now.recipe() == before.recipe()


def test_a_study_goes_on_with_its_trials(goes_on, tmp_path):
    # Its later trials are to begin as its first ones did, and to be drawn from the space of then.
    space = tmp_path / "fair_of_then.yaml"
    space.write_text(
        "optimizer.lr: {low: 1.0e-4, high: 4.0e-3, log: true}\n"
        "value_loss.num_bins: {low: 21, high: 201, log: true}\n"
        "value_loss.sigma: {low: 0.004, high: 0.1, log: true, of: support}\n"
    )
    goes_on("study-tune", tmp_path, "initial_value=null", "network.pixels=true", "--space", str(space))
    now, expected = (read_rows(tmp_path / name / "trials.csv") for name in ("study", "expected"))
    assert [row["trial"] for row in now] == [row["trial"] for row in expected]
    assert now[0].keys() == expected[0].keys()  # it was done before
    for column, cell in now[0].items():  # earlier versions wrote six figures
        assert cell == expected[0][column] or float(cell) == pytest.approx(
            float(expected[0][column]), rel=1e-5
        )
    assert (tmp_path / "study" / "best.yaml").is_file()


@pytest.mark.parametrize(("name", "study"), [("begun", Ordering), ("saved", Scaling)])
def test_the_tasks_of_a_claim_go_on(name, study, goes_on, tmp_path, monkeypatch):
    # Rows of before values began at zero are another version's; the folder itself is as it was.
    monkeypatch.setattr(study, "version", 1)
    goes_on(f"study-reproduce-{name}", tmp_path)
    now, expected = (read_rows(tmp_path / folder / "rows.csv") for folder in ("study", "expected"))
    assert len(now) == len(expected)
    assert now[0] == expected[0]  # it was done before
    assert json.loads((tmp_path / "study" / "verdict.json").read_text())["missing"] == 0
