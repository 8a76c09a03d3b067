"""Where the ends of an adaptive support go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catzoo.agents.learning.adaptive_support import GROWTH, MARGIN, NARROW, NEAR, grown, halved

NUMBERS = st.floats(-1e4, 1e4)


@given(NUMBERS, st.floats(1e-2, 1e4), NUMBERS, st.floats(0, 1e4))
def test_ends_hold_the_targets_and_then_stay(v_min, span, low, width):
    ends, high = (v_min, v_min + span), low + width
    new = grown(ends, low, high)
    assert new[0] <= ends[0] < ends[1] <= new[1]
    range_ = new[1] - new[0]
    assert new[0] + NEAR * range_ <= low + 1e-9 * range_
    assert high <= new[1] - NEAR * range_ + 1e-9 * range_
    inner = NEAR * span
    if v_min + inner <= low and high <= ends[1] - inner:
        assert new == ends
    else:
        assert range_ >= GROWTH * span * (1 - 1e-9)  # by a factor, so that moves are rare
        assert grown(new, low, high) == new


def test_an_end_that_is_not_needed_stays_but_for_its_margin():
    assert grown((-1.0, 1.0), 0.5, 3.0) == (-1.0, 7.0)
    assert grown((-1.0, 1.0), -3.0, -0.5) == (-7.0, 1.0)
    low, high = grown((-4.0, 60.0), 0.0, 70.0)
    assert low == pytest.approx(-MARGIN * 256)
    assert high == 252.0
    assert grown((-1.0, 1.0), -500.0, 500.0)[0] < -500.0


@given(NUMBERS, st.floats(1e-2, 1e4), st.floats(0, 1), st.floats(0, NARROW))
def test_half_of_the_range_holds_what_needs_an_eighth(v_min, span, place, share):
    ends = (v_min, v_min + span)
    low = v_min + place * (1 - share) * span
    high = low + share * span
    new, rounding = halved(ends, low, high), 1e-9 * (abs(v_min) + span)
    assert new[1] - new[0] == pytest.approx(span / 2, rel=1e-6, abs=rounding)
    assert ends[0] - rounding <= new[0] <= low + rounding
    assert high - rounding <= new[1] <= ends[1] + rounding
