"""State comes back as it was, from files that hold data alone."""

import json
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from catzoo.agents.checkpoints.state_files import MARK, read_state, write_state

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
KEYS = st.text(max_size=4) | st.just(f"{MARK}tensor") | st.integers(-3, 3)
STATES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(state=STATES)
def test_plain_data_comes_back(state, tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    write_state(folder, state)
    assert read_state(folder) == state
    assert type(read_state(folder)) is type(state)


@pytest.mark.parametrize(
    "value",
    [
        torch.arange(6.0).view(2, 3).t(),
        torch.zeros(0, 3, dtype=torch.uint8),
        torch.tensor(True),
        torch.randn(4, 3, 2, 2).contiguous(memory_format=torch.channels_last).bfloat16(),
        np.arange(5, dtype=np.uint32)[::2],
        np.float64(0.1),
        np.int64(-7),
        np.array(3, np.int16),
    ],
)
def test_numbers_keep_kind_shape_and_bits(value, tmp_path):
    write_state(tmp_path, {"a": [value, value]})
    first, second = read_state(tmp_path)["a"]
    assert type(first) is type(value)
    assert first.dtype == value.dtype
    assert tuple(first.shape) == tuple(value.shape)
    assert bool((first == value).all())
    assert second is not first


def test_random_streams_fit(tmp_path):
    state = {
        "python": random.Random(3).getstate(),
        "pcg": np.random.default_rng(0).bit_generator.state,
        "twister": np.random.RandomState(1).get_state(legacy=False),
    }
    write_state(tmp_path, state)
    again = read_state(tmp_path)
    assert again["python"] == state["python"]
    assert again["pcg"] == state["pcg"]
    assert (again["twister"]["state"]["key"] == state["twister"]["state"]["key"]).all()


@pytest.mark.parametrize("value", [object(), {1, 2}, len, np.array([None]), torch.nn.Linear(1, 1), 1j])
def test_what_is_not_data_is_refused_when_it_is_saved(value, tmp_path):
    with pytest.raises(TypeError):
        write_state(tmp_path, [value])


@pytest.mark.parametrize(
    "tree",
    [{f"{MARK}call": "os.system"}, {f"{MARK}tensor": "9"}, {f"{MARK}mapping": [1]}, {f"{MARK}tuple": 5}],
)
def test_what_was_not_written_here_is_refused(tree, tmp_path):
    write_state(tmp_path, [torch.ones(1)])
    (tmp_path / "state.json").write_text(json.dumps([tree]))
    with pytest.raises((ValueError, KeyError, TypeError)):
        read_state(tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        list(range(-500, 500)),
        [2**63 - 1] * 100,
        [2**70] * 100,
        [0.1 * index for index in range(1000)],
        [1, 2.0] * 100,
        [True, False] * 100,
        [float("inf"), -0.0] * 100,
    ],
)
def test_long_lists_of_numbers_come_back_as_they_were(values, tmp_path):
    write_state(tmp_path, {"values": values})
    found = read_state(tmp_path)["values"]
    assert found == values
    assert list(map(type, found)) == list(map(type, values))
    assert list(map(repr, found)) == list(map(repr, values))


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), float("nan")])
def test_what_json_has_no_number_for(value, tmp_path):
    write_state(tmp_path, {"value": value})
    assert repr(read_state(tmp_path)["value"]) == repr(value)
    assert "$float" in (tmp_path / "state.json").read_text()


def test_what_could_not_be_read_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr("catzoo.agents.checkpoints.state_files.LARGEST", 1000)
    with pytest.raises(ValueError, match="cannot be saved"):
        write_state(tmp_path, {"text": "x" * 2000})
    assert not list(tmp_path.iterdir())
