"""What a program says over a recipe: numbers from elsewhere are plain ones, what is no data is refused."""

import datetime
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from catzoo.hparams import RecipeError, plain_overrides
from catzoo.zoo.launch.train_many import train_many
from catzoo.zoo.training.train import recipe_of

WHOLE = (np.int8, np.uint8, np.int32, np.int64, np.array, torch.tensor)


@given(st.integers(0, 127), st.sampled_from(WHOLE))
def test_a_number_is_the_same_number(number, kind):
    (plain,) = plain_overrides({"batch_size": kind(number), "env_options": {"deep": [kind(number)]}})
    assert plain == {"batch_size": number, "env_options": {"deep": [number]}}
    assert yaml.safe_load(yaml.safe_dump(plain)) == json.loads(json.dumps(plain)) == plain


def test_keys_of_a_mapping_may_be_dotted():
    said = {"optimizer.lr": 0.25, "optimizer": {"eps": 1e-4}, "double": False, "env_options": {"a.b": 1}}
    (plain,) = plain_overrides(said)
    assert plain == {
        "optimizer": {"lr": 0.25, "eps": 1e-4}, "double": False, "env_options": {"a.b": 1}
    }  # fmt: skip
    assert recipe_of("dqn", "CartPole-v1", overrides={"optimizer.lr": 0.25}).optimizer.lr == 0.25


@pytest.mark.parametrize(
    ("key", "value", "typed"),
    [
        ("optimizer", {"lr": np.float32(0.25)}, "optimizer.lr=0.25"),
        ("optimizer", {"lr": torch.tensor(0.25)}, "optimizer.lr=0.25"),
        ("network", {"hidden": np.array([16, 8])}, "network.hidden=[16, 8]"),
        ("double", np.bool_(True), "double=true"),
        ("env_options", {"max_episode_steps": np.int64(50)}, "env_options.max_episode_steps=50"),
    ],
)
def test_a_recipe_is_the_one_that_was_typed(key, value, typed):
    found = recipe_of("dqn", "CartPole-v1", overrides={key: value}, steps=np.int64(500), seed=np.int16(3))
    assert found == recipe_of("dqn", "CartPole-v1", overrides=typed, steps=500, seed=3)
    assert yaml.safe_dump(found.to_dict())


def test_a_path_is_a_name():
    found = recipe_of("cql", "CartPole-v1", overrides={"dataset": Path("runs") / "data"})
    assert found.dataset == "runs/data"


@pytest.mark.parametrize("thing", [print, object(), {1}, 1j, math.nan, datetime.date(2020, 1, 1)])
@pytest.mark.parametrize("do", [recipe_of, train_many])
def test_what_is_no_data_is_refused_in_one_line(do, thing):
    with pytest.raises(
        RecipeError, match=r"^env_options=\{'a': .*must be plain data, numbers, words"
    ) as caught:
        do("dqn", "CartPole-v1", overrides=[{"env_options": {"a": [thing]}}])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("typed", ["2020-01-01", ".nan", "[.inf]"])
def test_so_is_what_yaml_makes_of_it(typed):
    with pytest.raises(RecipeError, match="must be plain data"):
        recipe_of("dqn", "CartPole-v1", overrides=f"env_options.a={typed}")
    assert recipe_of("dqn", "CartPole-v1", overrides=f"env_options.a='{typed}'").env_options == {"a": typed}
