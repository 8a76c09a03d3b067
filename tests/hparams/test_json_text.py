"""JSON that any reader takes, or a ValueError."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catzoo.hparams.json_text import from_json, to_json

FINITE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
)
NOT_JSON = [
    "NaN",
    "[Infinity]",
    '{"a": -Infinity}',
    "1e400",
    "-1e400",
    "[" * 100_000,
    "1" * 5_000,
    "",
    b"\xff",
]


@given(FINITE)
def test_what_is_written_is_read_again(content):
    assert from_json(to_json(content)) == content


@pytest.mark.usefixtures("at_the_bottom")
@pytest.mark.parametrize("text", NOT_JSON)
def test_what_is_not_json(text):
    with pytest.raises(ValueError):  # noqa: PT011
        from_json(text)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_cannot_say(number):
    assert json.dumps([number])  # and Python's own would
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json([number])
