"""Chess in the terminal: your moves as they are written anywhere, the agent's with its chance to win."""

import io
import sys
from functools import partial

import pytest
import torch
from torch import nn

from catzoo.agents.networks.board_transformer import is_move, split
from catzoo.hparams import ChessRecipe, DQNRecipe, RecipeError
from catzoo.zoo.watch import play_chess
from played_for_tests import played

chess = pytest.importorskip("chess")
RECIPE = ChessRecipe(env="chess/random")
WHITE, BLACK = 1, 2


class First(nn.Module):
    """Prefers the first move of the list."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.9))

    def ranking(self, observation):
        move = split(observation)[1]
        falling = self.scale - torch.arange(move.shape[1]) / 100
        values = falling.expand(move.shape[:2]).masked_fill(~is_move(move), -torch.inf)
        return values, values.argsort(dim=-1, descending=True)


def game(lines, seed=WHITE):
    play = partial(play_chess.play, First(), RECIPE, yours=False, seed=seed)
    return played(play, lines)


def test_moves_as_they_are_written():
    said = game(["e4", "g1f3", "O-O", "Bc4", "O-O"])
    assert "You have the white pieces" in said
    assert "'O-O' is no legal move here" in said  # the bishop is in the way, once
    assert said.count("is no legal move") == 1
    assert said.count("the agent: ") == 4
    assert "(90%)" in said
    assert said.endswith("The game is over.")
    assert said.count("a  b  c") == 5  # a board for each of your moves, none for what was none


def test_a_draw_that_could_be_is_none_yet(monkeypatch):
    board = chess.Board()
    for move in ("Nf3", "Nf6", "Ng1", "Ng8", "Nf3", "Nf6", "Ng1"):
        board.push_san(move)
    monkeypatch.setattr(chess, "Board", lambda: board)
    said = game(["e5"], seed=BLACK)
    assert "your move: " in said
    assert "A draw" not in said


def test_the_agent_begins_where_you_have_black():
    said = game(["resign"], seed=BLACK)
    assert "You have the black pieces" in said
    assert said.index("the agent: ") < said.index("your move: ")
    assert said.endswith("The agent wins.")


def test_a_hint_and_a_move_back():
    said = game(["undo", "e4", "undo", "e4", "hint"])
    assert said.count("the agent: ") == 2
    assert said.count("the agent would play") == 1
    assert "is no legal move" not in said


@pytest.mark.parametrize("typed", ["", "e5", "0000", "xyz", "e2e9", "\x00", "a" * 500])
def test_what_is_no_move_is_asked_again(typed):
    said = game([typed, "e4"])
    assert "is no legal move here: type a move such as e4" in said
    assert said.count("the agent: ") == 1


def test_a_game_that_ends(monkeypatch):
    monkeypatch.setattr(
        chess.Board, "__init__", _begins_at("6k1/5ppp/8/8/8/8/8/R3K3 w - - 0 1", chess.Board.__init__)
    )
    assert game(["Ra8#"]).endswith("You win: checkmate.")


@pytest.mark.parametrize(
    ("run", "words"), [("nosuch", "no such folder"), ("dqn-CartPole-v1-hl_gauss", "it plays CartPole-v1")]
)
def test_an_engine_of_no_chess_says_so_before_it_speaks(run, words, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"uci\nquit\n")))
    with pytest.raises(RecipeError, match=words):
        play_chess.serve_uci(run)
    assert capsys.readouterr().out == ""


def test_an_agent_without_values_of_moves_is_refused():
    with pytest.raises(RecipeError, match="only the agent chess is played against"):
        play_chess.play(None, DQNRecipe(env="chess/random"), yours=False, seed=0, ask=input, say=print)


def _begins_at(fen, init):
    return lambda board, *arguments, **options: init(board, *(arguments or (fen,)), **options)
