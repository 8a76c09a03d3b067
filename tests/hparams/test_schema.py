"""Every mistake in a recipe is answered in one line that names the key, the value and the source."""

from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catzoo.hparams import DQNRecipe, Recipe, RecipeError, build, keys_of
from catzoo.hparams.agents import all_keys, build_recipe
from catzoo.hparams.schema import bounded


@dataclass(frozen=True)
class Inner:
    rate: float = bounded(1.0, above=0, at_most=2)
    name: Literal["red", "green"] = "red"


@dataclass(frozen=True)
class Needing:
    name: str
    texts: dict[str, str] = field(default_factory=dict, metadata={"longest": 3})
    numbers: list[float] = field(default_factory=list, metadata={"longest": 200})


@dataclass(frozen=True)
class Outer:
    count: int = bounded(3, at_least=1)
    flag: bool = False
    maybe: float | None = None
    name: str = "x"
    sizes: tuple[int, ...] = bounded((1,), at_least=1)
    options: dict[str, object] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)


def message(values):
    with pytest.raises(RecipeError) as caught:
        build(Outer, values, where="here")
    text = str(caught.value)
    assert "\n" not in text
    assert "(here)" in text
    return text


def test_values_are_taken_at_any_depth():
    made = build(Outer, {"count": 5, "sizes": [2, 3], "inner": {"rate": 0.5, "name": "green"}}, where="here")
    assert made == Outer(count=5, sizes=(2, 3), inner=Inner(0.5, "green"))


def test_an_environments_options_have_numbers():
    options = {
        "cost": "1e-3",
        "sizes": ["2E+1", ".5e1"],
        "inner": {"rate": "-1.e2"},
        "map": "4x4",
        "word": "1e",
        "steps": "1e2",
    }
    made = build(Recipe, {"env_options": options}, where="here").env_options
    assert made == {
        "cost": 1e-3,
        "sizes": [20.0, 5.0],
        "inner": {"rate": -100.0},
        "map": "4x4",
        "word": "1e",
        "steps": 100,
    }
    assert isinstance(made["steps"], int)


def test_numbers_are_read_as_yaml_writes_them():
    made = build(Outer, {"inner": {"rate": "1e-4"}, "count": 2.0, "maybe": None}, where="here")
    assert made.inner.rate == 1e-4
    assert made.count == 2
    assert isinstance(made.count, int)
    assert made.maybe is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"cuont": 1}, ["unknown key cuont", "did you mean count"]),
        ({"inner": {"rat": 1}}, ["unknown key inner.rat", "inner.rate"]),
        ({"count": 0}, ["count=0", "at least 1"]),
        ({"count": 1.5}, ["count=1.5", "whole number"]),
        ({"count": True}, ["count=True", "whole number"]),
        ({"count": float("inf")}, ["count=inf"]),
        ({"flag": 1}, ["flag=1", "true or false"]),
        ({"maybe": "x"}, ["maybe='x'", "a number"]),
        ({"maybe": float("nan")}, ["maybe=nan"]),
        ({"name": "a\nb"}, ["name='a\\nb'", "must be a name"]),
        ({"name": "x" * 201}, ["name='xxx", "must have at most 200 characters"]),
        ({"sizes": 3}, ["sizes=3", "list"]),
        ({"sizes": [0]}, ["at least 1"]),
        ({"options": [1]}, ["options=[1]", "mapping"]),
        ({"inner": 3}, ["inner is a group", "inner.rate"]),
        ({"inner": {"rate": 0}}, ["inner.rate=0", "above 0"]),
        ({"inner": {"rate": 3}}, ["inner.rate=3", "at most 2"]),
        ({"inner": {"name": "gren"}}, ["inner.name='gren'", "red, green", "did you mean green"]),
    ],
)
def test_mistakes(values, words):
    text = message(values)
    for word in words:
        assert word in text


def test_lists_and_mappings_of_one_kind_and_what_must_be_there():
    made = build(Needing, {"name": "x", "texts": {"a": "b"}, "numbers": [1] * 200}, where="here")
    assert made == Needing("x", {"a": "b"}, [1.0] * 200)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, r"name is missing \(here\)"),
        ({"name": "x", "texts": {"a": 1}}, r"texts\.a=1: must be a name \(here\)"),
        ({"name": "x", "texts": {"a\n": "long"}}, r"texts\.a\\n='long': must have at most 3 characters"),
        ({"name": "x", "numbers": [0] * 201}, "numbers has 201 items: must be at most 200"),
        ({"name": "x", "numbers": ["y"]}, "numbers='y': must be a number"),
    ],
)
def test_lists_and_mappings_of_another_kind_and_what_is_missing(values, words):
    with pytest.raises(RecipeError, match=words):
        build(Needing, values, where="here")


def test_a_leaf_under_the_wrong_parent_is_found():
    with pytest.raises(RecipeError, match=r"did you mean optimizer\.lr"):
        build(Recipe, {"lr": 1.0}, where="here")


def test_every_key_is_listed_once():
    keys = keys_of(DQNRecipe)
    assert len(keys) == len(set(keys))
    assert {"value_loss.num_bins", "optimizer.lr", "gamma", "replay.capacity", "eval.every"} <= set(keys)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from([*(key.split(".")[0] for key in all_keys()), "x"]), json_values))
def test_anything_is_a_recipe_or_one_line(values):
    try:
        made = build_recipe(values, where="here")
    except RecipeError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert isinstance(made, Recipe)
