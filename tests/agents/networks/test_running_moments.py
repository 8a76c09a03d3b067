"""Moments of everything seen, however it came in pieces; and observations scaled by them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from catzoo.agents.networks.running_moments import ObservationNorm, RunningMoments


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.integers(0, 2**31))
def test_pieces_are_as_the_whole(sizes, seed):
    random = np.random.default_rng(seed)
    pieces = [random.normal(5.0, 3.0, (size, 2, 3)) for size in sizes]
    moments = RunningMoments((2, 3))
    for piece in pieces:
        moments.update(torch.from_numpy(piece))
    whole = np.concatenate(pieces)
    assert moments.count == len(whole)
    if len(whole):
        assert moments.mean.numpy() == pytest.approx(whole.mean(0), abs=1e-4)
        assert moments.deviation.numpy() == pytest.approx(whole.std(0), abs=1e-4)


def test_observations_are_as_they_are_before_anything_was_seen():
    norm = ObservationNorm((2,))
    assert norm(torch.tensor([[3.0, -4.0]], dtype=torch.float64)).tolist() == [[3.0, -4.0]]


def test_observations_are_scaled_and_bounded():
    norm = ObservationNorm((2,))
    norm.update(torch.tensor([[1.0, 7.0], [3.0, 7.0]]))  # the second never changes
    assert norm(torch.tensor([[4.0, 7.0], [-99.0, 7.01]])).tolist() == [[2.0, 0.0], [-10.0, 10.0]]


def test_one_takes_over_what_another_saw():
    one, other = ObservationNorm((3,)), ObservationNorm((3,))
    one.update(torch.randn(50, 3))
    other.take_over(one)
    one.update(torch.randn(50, 3))
    assert (other.count, one.count) == (50, 100)
    assert not torch.equal(other.mean, one.mean)
