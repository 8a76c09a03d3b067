"""Elo from games: antisymmetric, wider for fewer games, and no certainty from wins alone."""

import math

import pytest

from catzoo.zoo.statistics.elo import elo_difference


def test_three_of_four_points_are_191():
    found = elo_difference([1, 1, 0, 0] * 50)
    assert found.elo == pytest.approx(190.85, abs=0.01)
    assert found.low < found.elo < found.high
    assert elo_difference([0.0] * 20).elo == 0


def test_the_other_side_has_it_the_other_way_round():
    one, other = elo_difference([1, 1, -1, 0]), elo_difference([-1, -1, 1, 0])
    assert (one.elo, one.low, one.high) == pytest.approx((-other.elo, -other.high, -other.low))


def test_more_games_say_more_and_only_wins_say_at_least():
    few, many = elo_difference([1, -1] * 5), elo_difference([1, -1] * 500)
    assert many.high - many.low < few.high - few.low
    all_won = elo_difference([1] * 20)
    assert all_won.elo == all_won.high == math.inf
    assert 200 < all_won.low < 400
    with pytest.raises(ValueError, match="no game"):
        elo_difference([])
