"""result.json is believed only as far as it could have been written here."""

import json
import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catzoo.hparams import RecipeError
from catzoo.zoo.folders.result_file import checked, read_result
from catzoo.zoo.system.console import console, print_table

GOOD = {
    "agent": "dqn", "env": "CartPole-v1", "loss": "mse", "seed": 0, "steps": 100, "mean_return": 9.5,
    "interval_95": [9, 10.0], "episodes": 5, "protocol": {"name": "classic-control"}, "train_return": None,
    "versions": {"torch": "2"}, "compute": {},
}  # fmt: skip
GAME = {"mean_return": 1, "interval_95": [0, 2], "episodes": 3}


def test_a_good_one(tmp_path):
    file = tmp_path / "result.json"
    file.write_text(json.dumps(GOOD))
    assert read_result(file) == GOOD


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": {}}, {"interval_95": []}, {"interval_95": [1]}, {"interval_95": ["a", "b"]}, {"env": []},
        {"env": "a\x1b[2J"}, {"mean_return": 10**400}, {"mean_return": float("nan")}, {"mean_return": True},
        {"steps": -1}, {"seed": 1.5}, {"seed": "1"}, {"returns": ["x"]}, {"date": 5}, {"cpu": "c" * 1_001},
        {"versions": {"torch": []}}, {"compute": None}, {"advice": "a\nb"},
        {"median_return": float("nan")}, {"later": [float("inf")]}, {"returns": [1e101]},
        {"games": {"x": {}}}, {"games": [1]}, {"games": {"x": 1}}, {"games": None}, {"games": {"a\nb": GAME}},
        {"games": {"x": GAME | {"interval_95": [1]}}}, {"games": {"x": GAME | {"mean_return": "1"}}},
        {"games": {"x": GAME | {"std_return": "0"}}}, {"protocol": {"name": "a", "settings": None}},
        {"protocol": {"name": "a", "settings": [1]}}, {"policy": []}, {"std_return": "0.5"},
        {"mean_return": "9.5"}, {"interval_95": [-1e300, 0]}, {"train_return": 1e300},
    ],
)  # fmt: skip
def test_what_none_of_ours_would_say(change, tmp_path):
    file = tmp_path / "result.json"
    file.write_text(json.dumps(GOOD | change))
    with pytest.raises(RecipeError, match="corrupt"):
        read_result(file)


@pytest.mark.parametrize("key", ["agent", "interval_95", "protocol", "episodes"])
def test_nothing_may_be_missing(key):
    with pytest.raises(RecipeError, match=f"{key} is missing"):
        checked({name: value for name, value in GOOD.items() if name != key})


def test_keys_of_later_versions_stay():
    games = {"x": GAME, "y": GAME | {"std_return": 0.5, "elo": [1]}}
    later = GOOD | {"ladder": {"elo": [0.5]}, "protocol": {"name": "chess", "elo": None}, "games": games}
    assert checked(later) == later


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda x: st.lists(x) | st.dictionaries(st.sampled_from([*GOOD]), x),
)


@given(JSON | st.dictionaries(st.sampled_from([*GOOD]), JSON, max_size=1).map(lambda change: GOOD | change))
def test_anything_gets_an_answer(value):
    with suppress(RecipeError):
        assert checked(value) == value


def test_a_pipe_or_an_endless_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "endless", "missing"):
        with pytest.raises(RecipeError, match="corrupt"):
            read_result(tmp_path / name)


def test_a_table_shows_what_it_is_given_and_obeys_none_of_it():
    with console.capture() as captured:
        print_table("t", ["a", "b"], [["[/x]", "\x1b[2J[red]"]])
    assert "[/x]" in captured.get()
    assert "\x1b[2J" not in captured.get()
    assert "[red]" in captured.get()
