"""The board of many runs on a terminal: what is read, what is shown, and that it fits."""

import io
import math

import pytest
from rich.cells import cell_len
from rich.console import Console

from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.launch import progress_board
from catzoo.zoo.launch.board_picture import board_picture, room_in, span
from catzoo.zoo.launch.board_rows import BEGINS, DONE, FAILED, PRUNED, TRAINS, Row
from catzoo.zoo.launch.progress_board import Board

NAME = "dqn-MinAtar-SpaceInvaders-v1-hl_gauss-s0"
OVERALL = ["1 of 5 runs, 1 failed", "34 %", "0:01:02 left", "123,000/400,000", "1,234 steps/s", "0:00:59"]


@pytest.fixture
def terminal(monkeypatch):
    screen = Console(file=io.StringIO(), force_terminal=True, width=120, height=30, color_system=None)
    monkeypatch.setattr(progress_board, "console", screen)
    monkeypatch.setattr(progress_board, "has_bars", lambda: True)
    return screen


def seen(board, width=120):
    screen = Console(file=io.StringIO(), width=width)
    screen.print(board.picture())
    return screen.file.getvalue()


def at_work(name=NAME, **more):
    known = {"step": 120_000, "run_steps": 200_000, "rate": 1234, "greedy": 12.5, "train": 34.2}
    return Row(name, 200_000, TRAINS, **{**known, "curve": list(range(40)), **more})


def test_a_run_from_its_beginning_to_its_end(tmp_path, terminal):
    run, row = Run(tmp_path / NAME), Row(NAME, 1_000)
    run.path.mkdir()
    with Board("run", 2, 2_000, lambda line: None, [Row("first", 1_000, DONE, before=1_000), row]) as board:
        assert "waits" in seen(board)
        board.begin(row, run, 1_000)
        assert "begins" in seen(board)
        run.metrics.write_text("step,time/steps_per_second,train/return,eval/return\n500,250,21.5,\n")
        board.look(row)
        text = seen(board)
        for words in (NAME, " 50 %", "21.5", "250", "0:00:02", "500/1,000", "1 of 2 runs", "1,500/2,000"):
            assert words in text
        assert "greedy" not in text
        with run.metrics.open("a") as file:
            file.write("900,300,22,\n1000,,,30.5\n")
        board.look(row)
        assert (row.train, row.greedy, row.rate) == (22, 30.5, 300)
        assert "evaluates" in seen(board)
        board.run_ended(row, 1_000)
        board.end(row, DONE)
    assert "2 of 2 runs" in terminal.file.getvalue()
    assert "2,000/2,000" in terminal.file.getvalue()


def test_a_run_that_is_cut_back_has_the_curve_of_what_is_left(tmp_path):
    run, row = Run(tmp_path), Row(NAME, 1_000)
    row.begin(run, 1_000)
    run.metrics.write_text("step,train/return\n100,1\n200,2\n300,3\n")
    row.look()
    assert (row.step, row.curve) == (300, [1, 2, 3])
    (tmp_path / "new").write_text("step,train/return\n100,1\n")
    (tmp_path / "new").replace(run.metrics)
    row.begin(run, 1_000)
    assert (row.state, row.step, row.curve) == (BEGINS, 100, [1])


def test_what_is_not_played_has_the_curve_of_its_evaluations(tmp_path):
    run, row = Run(tmp_path), Row(NAME, 1_000)
    row.begin(run, 1_000)
    run.metrics.write_text("step,train/loss,eval/return\n100,0.5,\n200,0.4,7\n")
    row.look()
    assert row.curve == [7]
    assert math.isnan(row.train)


def test_what_fails_is_taken_from_the_whole(terminal):
    rows = [Row("a", 1_000, DONE, before=1_000), Row("b", 1_000, TRAINS, step=400)]
    board = Board("run", 2, 2_000, print, rows)
    board.end(rows[1], FAILED)
    assert "2 of 2 runs, 1 failed" in seen(board)
    assert "100 %" in seen(board)


def test_the_best_of_the_trials_is_named(terminal):
    rows = [Row("trial 0", 10, DONE, before=10, value=3), Row("trial 1", 10, DONE, before=10, value=4),
            Row("trial 2", 10, PRUNED, value=9), at_work("trial 3", value=8)]  # fmt: skip
    lines = seen(Board("trial", 9, 90, print, rows)).splitlines()
    assert [line.split()[2] for line in lines[1:5]] == ["done", "best", "pruned", "60"]
    assert "5 waiting" in lines[5]
    assert "3 of 9 trials" in lines[6]


@pytest.mark.parametrize("width", [20, 33, 40, 47, 60, 80, 120, 200])
@pytest.mark.parametrize("height", [5, 24])
def test_it_fits_every_terminal(width, height):
    rows = [at_work(), Row("first [dqn] 日本語", 5, BEGINS), Row("x" * 90, 5, FAILED), Row("[/lr]", 5)]
    for many in (1, 25):
        screen = Console(file=io.StringIO(), width=width)
        screen.print(board_picture("run", rows * many, 4 * many, OVERALL, 0.3, width, height))
        lines = screen.file.getvalue().splitlines()
        assert max(map(cell_len, lines)) <= width
        assert len(lines) < height or height == 5
        assert len(lines) <= max(height, 5)
        if height > 5:
            assert set(lines[0].split()) <= {
                "run",
                "state",
                "greedy",
                "return",
                "curve",
                "steps/s",
                "left",
                "steps",
            }
        if width >= 60 and height > 5:
            assert "12.5" in lines[1]
            assert "60 %" in lines[1]
            assert "▁" in lines[1]
        if many == 25 and height == 24:
            assert any("waiting" in line and "failed" in line for line in lines) or width < 40


def test_of_many_rows_those_at_work_and_the_best_are_shown(terminal):
    rows = [Row(f"run {number}", 5, DONE, value=number) for number in range(50)]
    rows += [at_work("run 50"), at_work("run 51"), *(Row(f"run {number}", 5) for number in range(52, 100))]
    board = Board("run", 100, 500, print, rows)
    assert not board.shows_all
    names = [line.split("  ")[0] for line in seen(board).splitlines()]
    assert names == ["run", "run 49", "run 50", "run 51", "and 49 done, 48 waiting", "50 of 100 runs"]
    assert room_in(3) == 0


def test_without_a_terminal_nothing_is_read_or_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress_board, "has_bars", lambda: False)
    row = Row(NAME, 5)
    with Board("run", 1, 5, print, [row]) as board:
        board.begin(row, Run(tmp_path), 5)
        board.look(row)
        board.end(row, DONE)
    assert row.metrics is None
    assert capsys.readouterr().out == ""
    assert not board.shows_all


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(math.nan, ""), (math.inf, ""), (59.9, "0:00:59"), (3_723, "1:02:03"), (4e5, "4 days")],
)
def test_times(seconds, text):
    assert span(seconds) == text
