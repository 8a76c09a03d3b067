"""Trials at work: what the board knows of those of other machines."""

from types import SimpleNamespace

from catzoo.zoo.launch.board_rows import DONE
from catzoo.zoo.tuning.trial_scheduler import Scheduler
from trials_for_tests import trials_in, work

PLAN = SimpleNamespace(instances=2, steps=50)


def test_trials_that_another_machine_ends_count_on_the_board(tmp_path):
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    there = trials_in(storage, place="there")
    work(there, 1)
    scheduler = Scheduler(PLAN, trials_in(storage), None, 4, None, None)
    board = scheduler.board
    assert [row.name for row in board.rows] == ["trial 0"]
    work(there, 3)
    scheduler._see_others()
    scheduler._see_others()
    assert [(row.name, row.state) for row in board.rows] == [(f"trial {n}", DONE) for n in range(3)]
    assert board.clock.tasks[0].completed == 3 * 100
    assert board.clock.tasks[0].total == 4 * 100
