"""Trials at work: what the board knows of those of other machines."""

from types import SimpleNamespace

from catzoo.zoo.launch.board_rows import DONE
from catzoo.zoo.tuning import trial_scheduler
from catzoo.zoo.tuning.trial_scheduler import Scheduler
from trials_for_tests import trials_in, work

PLAN = SimpleNamespace(instances=2, steps=50)


def test_trials_that_another_machine_ends_count_on_the_board(tmp_path, monkeypatch):
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    there = trials_in(storage, place="there")
    unfinished = work(there, 4, stop=1)
    scheduler = Scheduler(PLAN, trials_in(storage), None, 2, None, None)
    board = scheduler.board
    assert [row.name for row in board.rows] == ["trial 0"]

    def meanwhile(seconds):
        there.end(unfinished, 0.0, scores=[1.0])

    monkeypatch.setattr(trial_scheduler.time, "sleep", meanwhile)
    assert list(scheduler._runs()) == [], "there is nothing left to do here"
    assert [(row.name, row.state) for row in board.rows] == [("trial 0", DONE), ("trial 1", DONE)]
    assert board.clock.tasks[0].completed == board.clock.tasks[0].total == 2 * 100
