"""What pruning saves, on made-up trials."""

import pytest

from catzoo.hparams.tuning.optuna_study import quiet
from catzoo.zoo.bench import pruning
from catzoo.zoo.bench.pruning import COLUMNS, PRUNERS, Recorded, bench_pruning, judged
from catzoo.zoo.folders.study_folder import StudyFolder
from catzoo.zoo.system.csv_rows import read_rows


def trial(score, seeds=3):
    return Recorded([score] * seeds, [[score * mark / 10 for mark in range(1, 11)]] * seeds)


@pytest.fixture(autouse=True)
def _quiet():
    with quiet():
        yield


@pytest.mark.parametrize("pruner", ["median", "hyperband", "wilcoxon"])
def test_trials_that_lose_are_ended_and_the_best_is_left(pruner):
    trials = [trial(100.0 - number) for number in range(12)]
    saved, best = judged(trials, pruner, 1_000)
    assert best == 100.0
    assert saved > 0.2


def test_nothing_is_saved_where_every_trial_is_better():
    saved, best = judged([trial(1.0 + number) for number in range(12)], "wilcoxon", 1_000)
    assert (saved, best) == (0.0, 12.0)


def test_wilcoxon_ends_a_trial_after_two_lost_runs():
    saved, _ = judged([trial(2.0), trial(1.0)], "wilcoxon", 1_000)
    assert saved == pytest.approx(1 / 6)


def test_a_row_for_each_pruner(tmp_path, monkeypatch):
    settings = {"envs": ["X"], "loss": "mse", "steps": 1_000}
    monkeypatch.setattr(StudyFolder, "settings", lambda self: settings)
    monkeypatch.setattr(pruning, "recorded", lambda folder, steps: [trial(2.0), trial(1.0), trial(0.5)])
    monkeypatch.setattr(pruning, "ORDERS", 2)
    rows = bench_pruning(tmp_path, tmp_path / "pruning.csv", "it")
    written = read_rows(tmp_path / "pruning.csv")
    assert [row["pruner"] for row in written] == list(PRUNERS)
    assert written == rows
    assert tuple(written[0]) == COLUMNS
    assert all(row["cpu"] and row["date"] and row["command"] == "it" for row in written)
