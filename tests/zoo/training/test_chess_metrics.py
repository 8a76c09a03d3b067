"""Measures of how moves are valued, on positions whose values are known."""

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau
from torch import nn

from catzoo.agents.networks.board_transformer import is_move, split
from catzoo.hparams import ChessRecipe
from catzoo.zoo.training.chess_metrics import kendall_tau, measure, metrics
from positions_for_tests import written_positions


class Knows(nn.Module):
    """Values moves as the dataset does, or the other way round."""

    def __init__(self, sign=1.0):
        super().__init__()
        self.sign = nn.Parameter(torch.tensor(sign))

    def values(self, observation):
        move = split(observation)[1]
        return (self.sign * move[..., 1] / 63).masked_fill(~is_move(move), -torch.inf)

    def ranking(self, observation):
        value = self.values(observation)
        return value, value.argsort(dim=-1, descending=True)


class Contrary(Knows):
    """Plays the move that it values least."""

    def ranking(self, observation):
        value = self.values(observation)
        return value, value.masked_fill(value.isinf(), torch.inf).argsort(dim=-1)


def test_tau_b_is_scipy_s():
    random = np.random.default_rng(0)
    for size in (2, 5, 40):
        x, y = random.integers(0, 6, (2, size)).astype(np.float32)
        x[0], x[1], y[0], y[1] = 0, 5, 1, 4
        assert kendall_tau(x, y) == pytest.approx(kendalltau(x, y).statistic)
    assert np.isnan(kendall_tau(np.zeros(4), np.arange(4.0)))


def test_who_knows_all_gives_nothing_away(tmp_path):
    data = written_positions(tmp_path / "test", 30)
    found = measure(Knows(), data)
    assert (found["action_accuracy"] == 1).all()
    assert (found["regret"] == 0).all()
    assert np.nanmin(found["kendall_tau"]) == pytest.approx(1.0)
    assert found["value_mse"].max() < 1e-12
    assert np.array_equal(found["game"], data.columns["game"].numpy())


def test_who_turns_all_around_gives_all_away(tmp_path):
    data = written_positions(tmp_path / "test", 30)
    found = measure(Knows(-1.0), data)
    ends = data.columns["offset"].tolist()
    starts = [0, *ends[:-1]]
    spread = [
        float(data.columns["value"][a:b].max() - data.columns["value"][a:b].min())
        for a, b in zip(starts, ends, strict=True)
    ]
    assert found["regret"] == pytest.approx(spread)
    assert np.nanmax(found["kendall_tau"]) == pytest.approx(-1.0)


def test_what_is_measured_is_what_is_played(tmp_path):
    data = written_positions(tmp_path / "test", 30)
    contrary, opposite = measure(Contrary(), data), measure(Knows(-1.0), data)
    assert contrary["regret"] == pytest.approx(opposite["regret"])
    assert np.nanmin(contrary["kendall_tau"]) == pytest.approx(1.0)


def test_nothing_is_measured_without_a_dataset(tmp_path, monkeypatch):
    written_positions(tmp_path / "test", 5)
    monkeypatch.chdir(tmp_path)
    assert metrics(Knows(), ChessRecipe(env="chess/random")) == {}


def test_what_is_damaged_is_said_and_not_measured(tmp_path, capsys):
    written_positions(tmp_path / "test", 5)
    written_positions(tmp_path / "mate-in-one", 5)
    file = tmp_path / "test" / "value.memmap"
    file.write_bytes(bytes(len(file.read_bytes())))
    found = metrics(Knows(), ChessRecipe(env="chess/random", dataset=str(tmp_path / "train")))
    assert found.keys() == {"mate_in_one"}
    assert "value.memmap is damaged" in capsys.readouterr().out


def test_the_means_are_of_the_folders_beside_the_one_that_was_learned_from(tmp_path):
    recipe = ChessRecipe(env="chess/random", dataset=str(tmp_path / "train"))
    assert metrics(Knows(), recipe) == {}
    written_positions(tmp_path / "test", 12)
    written_positions(tmp_path / "mate-in-one", 5, seed=1)
    found = metrics(Knows(), recipe)
    assert found["mate_in_one"] == found["action_accuracy"] == 1.0
    # Nothing is said of positions with one winning move: there is none among these.
    assert set(found) == {
        "action_accuracy", "kendall_tau", "kendall_tau_anchor", "regret", "value_mse", "mate_in_one",
    }  # fmt: skip
    assert all(isinstance(value, float) and np.isfinite(value) for value in found.values())
