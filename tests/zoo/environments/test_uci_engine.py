"""The pipe to an engine: scores of all moves, and one line for everything that goes wrong."""

import sys
from pathlib import Path

import pytest

from catzoo.zoo.environments import uci_engine
from catzoo.zoo.environments.uci_engine import ALL_MOVES, EngineError, Score, UCIEngine, find_engine

pytest.importorskip("chess")
ENGINE = Path(__file__).parents[2] / "engine_for_tests.py"
START = "startpos"


def program(tmp_path, manner=""):
    path = tmp_path / f"engine-{manner or 'counts'}"
    path.write_text(f"#!/bin/sh\nexec {sys.executable} {ENGINE} {manner}\n")
    path.chmod(0o755)
    return str(path)


def test_scores_of_all_moves_without_bounds(tmp_path):
    with UCIEngine(program(tmp_path, "bounds"), {"MultiPV": ALL_MOVES}) as engine:
        assert engine.name == "Counter 1.0"
        scores = engine.scores(START, depth=2)
        assert len(scores) == 20
        assert set(scores.values()) == {Score(0)}
        mating = engine.scores("fen 6k1/5ppp/8/8/8/8/8/R3K3 w - - 0 1", depth=1)
        assert mating["a1a8"] == Score(None, 1)
        assert engine.best_move(f"{START} moves e2e4", 1) == "a7a5"
        process = engine.process
    assert process.poll() is not None


def test_torn_scores_are_left_out(tmp_path):
    with UCIEngine(program(tmp_path, "torn")) as engine:
        assert engine.scores(START, depth=1) == {"a2a3": Score(0)}


@pytest.mark.parametrize(("manner", "words"), [("dies", "ended before"), ("silent", "before bestmove")])
def test_an_engine_that_dies_or_is_silent(tmp_path, manner, words):
    with UCIEngine(program(tmp_path, manner), timeout=20.0) as engine:
        engine.timeout = 0.3
        with pytest.raises(EngineError, match=words):
            engine.scores(START, 1)


def test_an_engine_may_take_its_time_while_it_reports(tmp_path):
    with UCIEngine(program(tmp_path, "slow"), timeout=20.0) as engine:
        engine.timeout = 1.0
        assert engine.scores(START, depth=1)


def test_what_is_no_engine(tmp_path, monkeypatch):
    with pytest.raises(EngineError, match="no such program"):
        UCIEngine(str(tmp_path / "nothing"))
    with pytest.raises(EngineError, match=r"ended"):
        UCIEngine("true")
    with pytest.raises(EngineError, match="is it a UCI engine"):
        UCIEngine("cat", timeout=0.3)
    monkeypatch.setattr(uci_engine.shutil, "which", lambda name: None)
    monkeypatch.setattr(uci_engine, "DEBIAN", str(tmp_path / "stockfish"))
    with pytest.raises(EngineError, match="apt-get install stockfish"):
        find_engine()


def test_stockfish_scores_every_move_the_same_whatever_came_before():
    try:
        find_engine()
    except EngineError:
        pytest.skip("no Stockfish here")
    fens = ["fen r1bqkbnr/pppp1ppp/2n5/4p3/2B1P3/5Q2/PPPP1PPP/RNB1K1NR w KQkq - 2 3", START]
    options = {"Threads": 1, "Hash": 16, "MultiPV": ALL_MOVES}
    found = []
    for order in (fens, fens[::-1]):
        with UCIEngine(options=options) as engine:
            own = {}
            for fen in order:
                engine.forget()
                own[fen] = engine.scores(fen, depth=4)
            found.append(own)
    assert found[0] == found[1]
    assert found[0][fens[0]]["f3f7"] == Score(None, 1)
    assert len(found[0][START]) == 20
