"""Chess positions as data: labels of every legal move, the same again, nothing lost or twice after a kill."""

import itertools
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from catzoo.agents.replay import read_dataset
from catzoo.hparams import RecipeError
from catzoo.zoo.datasets import chess_positions, chess_self_play
from catzoo.zoo.datasets.chess_positions import make_chess_positions
from catzoo.zoo.datasets.chess_self_play import SURE, is_held_out, win_probability
from catzoo.zoo.datasets.wordle_games import make_wordle_games
from catzoo.zoo.environments.uci_engine import EngineError, Score

pytest.importorskip("chess")
ENGINE = Path(__file__).parents[2] / "engine_for_tests.py"


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """An engine that counts material."""
    program = tmp_path / "counter"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} {ENGINE}\n")
    program.chmod(0o755)
    monkeypatch.setattr(chess_self_play, "LABEL_ONE_IN", 2)
    return str(program)


def make(out, max_plies=9, **options):
    """Games of a few moves."""
    return make_chess_positions(out, max_plies=max_plies, **options)


def parts(folder):
    return {part: read_dataset(folder / part) for part in ("train", "test") if (folder / part).is_dir()}


def same(one, other):
    return all(
        torch.equal(column, other[part].columns[name])
        for part, dataset in one.items()
        for name, column in dataset.columns.items()
    )


def test_every_move_is_labelled_and_games_are_kept_apart(tmp_path, engine):
    made = make(tmp_path / "data", games=20, depth=1, engine=engine)
    found = parts(tmp_path / "data")
    assert {part: len(dataset) for part, dataset in found.items()} == {part: made[part] for part in found}
    for part, dataset in found.items():
        assert dataset.manifest["engine"] == "Counter 1.0"
        assert dataset.manifest["env"] == "chess"
        value, move = dataset.columns["value"], dataset.columns["move"]
        assert ((value >= 0) & (value <= 1)).all()
        assert (move[:, 0] != move[:, 1]).all()
        held = {is_held_out(int(game)) for game in dataset.columns["game"]}
        assert held == {part == "test"}
    pieces = [{row.numpy().tobytes() for row in found[part].columns["board"][:, :69]} for part in found]
    assert not pieces[0] & pieces[1]


def test_more_workers_and_a_kill_change_nothing(tmp_path, engine, monkeypatch):
    whole = tmp_path / "whole"
    make(whole, games=20, depth=1, engine=engine)
    play, calls = chess_positions.play, itertools.count()

    def killed(*arguments):
        if next(calls) == 13:
            raise KeyboardInterrupt
        return play(*arguments)

    monkeypatch.setattr(chess_positions, "play", killed)
    begun, done = tmp_path / "begun", []
    with pytest.raises(KeyboardInterrupt):
        make(begun, games=20, depth=1, engine=engine)
    assert [path.name for path in sorted((begun / "games").glob("*.npz"))] == ["games-0000000.npz"]
    assert not (begun / "train").exists()
    (begun / "games" / "games-0000010.tmp").write_bytes(b"half")
    monkeypatch.setattr(chess_positions, "play", play)
    make(begun, games=20, depth=1, engine=engine, progress=done.append)
    assert done == [10, 20]
    assert same(parts(whole), parts(begun))


def test_more_games_keep_those_that_are_there(tmp_path, engine):
    make(tmp_path / "one", games=20, depth=1, engine=engine)
    make(tmp_path / "two", games=10, depth=1, engine=engine)
    make(tmp_path / "two", games=20, depth=1, engine=engine)
    assert same(parts(tmp_path / "one"), parts(tmp_path / "two"))
    before = (tmp_path / "one" / "games" / "games-0000000.npz").read_bytes()
    make(tmp_path / "other", games=10, depth=1, seed=1, engine=engine)
    assert before != (tmp_path / "other" / "games" / "games-0000000.npz").read_bytes()


def test_what_is_finished_is_not_played_again_without_its_games(tmp_path, engine):
    made = make(tmp_path, games=10, depth=1, engine=engine)
    shutil.rmtree(tmp_path / "games")
    done = []
    assert make(tmp_path, games=10, depth=1, engine=engine, progress=done.append) == made
    assert done == [10]
    assert not list((tmp_path / "games").glob("*.npz"))


def test_processes_play_the_same_games(tmp_path, engine, monkeypatch):
    monkeypatch.undo()  # processes know nothing of it
    for workers in (1, 2):
        make(tmp_path / str(workers), games=20, depth=1, workers=workers, engine=engine, max_plies=5)
    assert same(parts(tmp_path / "1"), parts(tmp_path / "2"))


def test_what_does_not_go_together_is_one_line(tmp_path, engine):
    data = tmp_path / "data"
    make(data, games=10, depth=1, engine=engine)
    with pytest.raises(RecipeError, match=r"its games have depth 1, not 2"):
        make(data, games=10, depth=2, engine=engine)
    other = tmp_path / "newer"
    shutil.copy(engine, other)
    other.write_text(other.read_text() + "\n")
    fake = tmp_path / "engine_for_tests.py"
    fake.write_text(ENGINE.read_text().replace("Counter 1.0", "Counter 2.0"))
    other.write_text(f"#!/bin/sh\nexec {sys.executable} {fake}\n")
    with pytest.raises(RecipeError, match=r"its games have engine 'Counter 1.0', not 'Counter 2.0'"):
        make(data, games=10, depth=1, engine=str(other))
    with pytest.raises(RecipeError, match="games=7 must be a multiple of 10"):
        make(data, games=7, depth=1, engine=engine)
    with pytest.raises(RecipeError, match="no such program"):
        make(data, games=10, engine=str(tmp_path / "nothing"))


def test_other_datasets_are_not_written_over(tmp_path, engine):
    make(tmp_path / "data", games=10, depth=1, engine=engine)
    shutil.rmtree(tmp_path / "data" / "games")
    with pytest.raises(RecipeError, match="train has positions of other games"):
        make(tmp_path / "data", games=10, depth=1, seed=5, engine=engine)
    make_wordle_games("wordle/40", tmp_path / "mixed" / "test", games=20)
    with pytest.raises(RecipeError, match="test has positions of other games"):
        make(tmp_path / "mixed", games=10, depth=1, engine=engine)
    (tmp_path / "files" / "train").mkdir(parents=True)
    (tmp_path / "files" / "train" / "mine").write_text("mine")
    with pytest.raises(RecipeError, match="no dataset there"):
        make(tmp_path / "files", games=10, depth=1, engine=engine)
    assert not any((tmp_path / name / "games").exists() for name in ("data", "mixed", "files"))


def test_what_is_finished_is_left_alone(tmp_path, engine):
    counts = make(tmp_path, games=20, depth=1, engine=engine)
    before = [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*.memmap"))]
    assert make(tmp_path, games=20, depth=1, engine=engine) == counts
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*.memmap"))] == before
    (tmp_path / "train" / "manifest.json").unlink()  # a kill
    assert make(tmp_path, games=20, depth=1, engine=engine) == counts
    assert len(read_dataset(tmp_path / "train")) == counts["train"]


def test_nothing_is_written_where_something_is_missing(tmp_path, engine, monkeypatch):
    with pytest.raises(EngineError, match="true"):
        make(tmp_path / "data", games=10, engine=shutil.which("true"))
    monkeypatch.setitem(sys.modules, "chess", None)
    with pytest.raises(RecipeError, match="python-chess is not installed"):
        make(tmp_path / "data", games=10, engine=engine)
    assert not (tmp_path / "data").exists()


def test_folders_that_cannot_be_and_damaged_files_are_one_line(tmp_path, engine):
    (tmp_path / "file").touch()
    with pytest.raises(RecipeError, match="file/games: cannot be written"):
        make(tmp_path / "file", games=10, depth=1, engine=engine)
    make(tmp_path / "data", games=10, depth=1, engine=engine)
    torn = tmp_path / "data" / "games" / "games-0000000.npz"
    torn.write_bytes(torn.read_bytes()[:-30])
    with pytest.raises(RecipeError, match=r"games-0000000\.npz: damaged: delete it, and the same command"):
        make(tmp_path / "data", games=20, depth=1, engine=engine)


def test_an_engine_that_scores_one_move_is_one_line(tmp_path, engine):
    Path(engine).write_text(f"#!/bin/sh\nexec {sys.executable} {ENGINE} one\n")
    with pytest.raises(EngineError, match=r"it scored 1 of 20 legal moves: .*MultiPV") as error:
        make(tmp_path / "data", games=10, depth=1, engine=engine)
    assert "\n" not in str(error.value)


def test_chances_to_win():
    assert win_probability(Score(0)) == 0.5
    assert win_probability(Score(100)) == pytest.approx(1 / (1 + np.exp(-0.368208)))
    order = [Score(None, -1), Score(None, -4), Score(-9_999), Score(-50), Score(50), Score(9_999),
             Score(None, 12), Score(None, 3), Score(None, 1)]  # fmt: skip
    chances = [win_probability(score) for score in order]
    assert chances == sorted(chances)
    assert len(set(chances)) == len(chances)
    assert (chances[0], chances[5], chances[-1]) == (0.0, SURE, 1.0)
