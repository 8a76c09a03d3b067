"""Re-projection: what heads decode stays where it was when their bins move."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from catzoo.agents.learning.adam import FusedAdam
from catzoo.agents.learning.reprojection import Moved, reproject
from catzoo.agents.networks import NoisyLinear
from catzoo.agents.networks.heads import DuelingHead, LinearHead
from catzoo.losses import C51, HLGauss, Support

BINS, STATES, FEATURES = 51, 48, 96
MOVES = {"up": (-1, 63), "down": (-33, 31), "both": (-17, 47), "fourfold": (-1, 127), "halved": (-1, 15)}
"""Of a support from -1 to 31."""


def learned(place_N2, width_N2, floor, *, dueling=False, linear=torch.nn.Linear):
    """A head with Gaussians over its bins for two actions in some states, and the states' features."""
    torch.manual_seed(0)
    head = (DuelingHead if dueling else LinearHead)(FEATURES, 2, BINS, linear=linear).eval()
    features = torch.rand(STATES, FEATURES)
    distance = (torch.arange(BINS) - place_N2[..., None] * (BINS - 1)) / width_N2[..., None]
    logits_NAK = torch.logaddexp(-0.5 * distance.square(), torch.tensor(-floor))
    parts = {head.parts[0]: logits_NAK}
    if dueling:
        mean_N1K = logits_NAK.mean(1, keepdim=True)
        parts = {head.value: mean_N1K, head.advantage: logits_NAK - mean_N1K}
    inverse = torch.linalg.pinv(features.double())
    for part, wanted in parts.items():
        with torch.no_grad():
            part.linear.bias.zero_()
            part.linear.weight.copy_((inverse @ wanted.double().flatten(1)).T)
    return head, features


def changed(head, features, before, after, optimizers=()):
    """How far decoded values move, in new bins."""
    with torch.no_grad():
        was = before.decode(head(features))
        reproject(head, Moved(before.support, after.support), features, optimizers)
        return (after.decode(head(features)) - was).abs() / after.support.bin_width


@pytest.mark.parametrize("loss", [HLGauss, C51])
@pytest.mark.parametrize("move", MOVES)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**31), narrow=st.floats(0.35, 1.0), more=st.floats(0, 7), floor=st.floats(8, 20))
def test_decoded_values_stay_within_a_fraction_of_a_new_bin(loss, move, seed, narrow, more, floor):
    before, after = loss(-1, 31, BINS), loss(*MOVES[move], BINS)
    stream = torch.Generator().manual_seed(seed)
    # A range is halved where all that is learned lies well within the half: what is cut off is lost.
    low, high, most, least = (0.1, 0.4, 2.0, 11.0) if move == "halved" else (0.04, 0.96, 7.0, 8.0)
    place_N2 = low + (high - low) * torch.rand(STATES, 2, generator=stream)
    width_N2 = narrow + min(more, most) * torch.rand(STATES, 2, generator=stream)
    error = changed(*learned(place_N2, width_N2, max(floor, least)), before, after)
    assert error.mean() < 0.25
    assert error.max() < 0.8


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("linear", [torch.nn.Linear, NoisyLinear])
def test_every_head_is_moved_and_a_frozen_one_stays_frozen(dueling, linear):
    before, after = HLGauss(-1, 31, BINS), HLGauss(-1, 63, BINS)
    places, widths = torch.linspace(0.1, 0.9, 2 * STATES).view(-1, 2), torch.ones(STATES, 2)
    head, features = learned(places, widths, 12.0, dueling=dueling, linear=linear)
    head.requires_grad_(False)
    assert changed(head, features, before, after).mean() < 0.1
    assert not any(parameter.requires_grad for parameter in head.parameters())


def test_it_is_the_same_each_time():
    heads = []
    for _ in range(2):
        head, features = learned(torch.full((STATES, 2), 0.5), torch.ones(STATES, 2), 12.0)
        changed(head, features, HLGauss(-1, 31, BINS), HLGauss(-1, 63, BINS))
        heads.append(head.linear.weight)
    assert torch.equal(*heads)


def test_moments_and_noise_move_by_the_map_of_the_logits():
    head = LinearHead(4, 2, BINS, linear=NoisyLinear).eval()
    adam = FusedAdam(head.parameters(), lr=1e-3, eps=1e-8)
    before, after = HLGauss(0, 50, BINS, align="centers"), HLGauss(0, 100, BINS, align="centers")
    moment = adam.second[0].copy_(torch.arange(BINS).repeat(2)[:, None].expand(-1, 4))
    sigma = head.linear.weight_sigma.detach().clone()
    changed(head, torch.rand(8, 4), before, after, [adam])
    wanted = torch.cat([torch.arange(0.0, 51.0, 2), torch.full((25,), 50.0)])  # beyond the end: the end's
    assert torch.allclose(moment, wanted.repeat(2)[:, None].expand(-1, 4))
    assert torch.allclose(head.linear.weight_sigma, sigma)  # all alike, and so they stay
    assert all((second >= 0).all() for second in adam.second)


@given(st.floats(-50, 50), st.floats(1, 100), st.floats(-50, 50), st.floats(1, 100), st.sampled_from([8, 51]))
def test_probabilities_stay_probabilities_and_keep_their_mean_inside(a, span, c, other, bins):
    before, after = Support(a, a + span, bins), Support(c, c + other, bins)
    moved = Moved(before, after)
    assert torch.allclose(moved.probs.sum(0), torch.ones(bins, dtype=torch.float64))
    assert torch.allclose(moved.logits.sum(1), torch.ones(bins, dtype=torch.float64))
    assert (moved.probs >= 0).all()
    if after.bin_width < before.bin_width:
        return
    old, new = (support.grid(torch.float64)[1] for support in (before, after))
    mean = moved.probs.T @ new
    assert torch.allclose(mean, old.clamp(new[0], new[-1]), atol=1e-6 * (abs(c) + other))
