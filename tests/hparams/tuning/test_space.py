"""Search spaces: what they accept, what they refuse, and what their values come to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catzoo.hparams import RecipeError, merge
from catzoo.hparams.tuning.space import Parameter, resolve_space, value_of
from catzoo.zoo.catalogue.recipe_files import find_recipe

RATE = {"low": 1e-4, "high": 1e-2, "log": True}


def recipe(env="CartPole-v1", loss="hl_gauss", **overrides):
    return find_recipe("dqn", env, loss, [overrides])


def space(entries, *recipes, **how):
    return resolve_space(entries, recipes or (recipe(),), where="the space", **how)


def test_kinds_follow_from_the_keys():
    kinds = {
        parameter.key: parameter.kind
        for parameter in space(
            {
                "optimizer.lr": RATE,
                "value_loss.num_bins": {"low": 21, "high": 201},
                "double": {"choices": [True, False]},
                "network.name": {"choices": ["mlp", "auto"]},
                "n_step": {"choices": [1, 3, 5]},
            }
        ).parameters
    }
    assert kinds == {
        "optimizer.lr": "float",
        "value_loss.num_bins": "int",
        "double": "choice",
        "network.name": "choice",
        "n_step": "choice",
    }


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({}, "nothing to vary"),
        ({"optimizer.learning_rate": RATE}, "did you mean optimizer.lr"),
        ({"value_loss.sigmma": RATE}, "did you mean value_loss.sigma"),
        ({"optimizer.lr": {"low": 0.01, "high": 0.01}}, "low=0.01 must be below high=0.01"),
        ({"optimizer.lr": {"low": 0.1, "high": 0.01}}, "must be below"),
        ({"optimizer.lr": {"low": -1, "high": 0.01}}, "must be above 0"),
        ({"optimizer.lr": {"low": 1e-4}}, "optimizer.lr.high is missing"),
        ({"optimizer.lr": {"low": 1e-4, "high": 1e-2, "step": 2}}, "must be {low"),
        ({"optimizer.lr": 0.1}, "must be {low"),
        ({"optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": "yes"}}, "must be true or false"),
        ({"optimizer.lr": {"low": 1e-4, "high": 1e-2, "of": "bins"}}, "must be support or recipe"),
        ({"optimizer.lr": {"low": 1e-4, "high": float("nan")}}, "must be a number"),
        ({"optimizer.lr": {"low": 1e-4, "high": 1e-2, "points": 1}}, "from 2 to 1000"),
        ({"optimizer.lr": {"low": 1e-4, "high": 1e-2, "points": 10**9}}, "from 2 to 1000"),
        ({"value_loss.num_bins": {"choices": [51]}}, "1 choice: nothing to vary"),
        ({"value_loss.num_bins": {"choices": [51, 51, 21]}}, "stands twice"),
        ({"value_loss.num_bins": {"choices": [1, 51]}}, "must be at least 2"),
        ({"value_loss.num_bins": {"low": 1, "high": 51}}, "must be at least 2"),
        ({"exploration.end": {"low": 0, "high": 0.1, "log": True}}, "must be above 0 with log"),
        ({"exploration.end": {"low": 0.5, "high": 1.5}}, "at most 1"),
        ({"network.name": {"low": 1, "high": 2}}, "name its choices"),
        ({"network.name": {"choices": ["mlp", "cnn"]}}, "must be one of"),
        ({"network.hidden": {"choices": [[64], [64.0]]}}, "1 choice: nothing to vary"),
        ({"network.hidden": {"choices": [[64], [64], [8]]}}, "stands twice"),
        ({"network.hidden": {"choices": [[64], 128]}}, "must be a list such as"),
        ({"network.hidden": {"choices": [[64], ["x"]]}}, "must be a whole number"),
        ({"network.hidden": {"choices": [[64], [0]]}}, "must be at least 1"),
        ({"network.hidden": {"low": 8, "high": 64}}, "name its choices"),
        ({"env_options": {"choices": [{}, {"a": 1}]}}, "a mapping cannot be tuned"),
        ({"steps": {"low": 1000, "high": 2000}}, "steps cannot be tuned"),
        ({"eval.epsilon": {"low": 0, "high": 0.1}}, "eval.epsilon cannot be tuned"),
        ({"value_loss.delta": {"low": 0.1, "high": 2}}, "does not apply to hl_gauss"),
        ({"value_loss.sigma": RATE, "value_loss.sigma_ratio": RATE}, "exclude each other"),
        ({"optimizer.max_grad_norm": {"low": 0.5, "high": 2, "of": "recipe"}}, "a number above 0"),
    ],
)
def test_what_is_refused(entries, words):
    with pytest.raises(RecipeError, match=words) as error:
        space(entries)
    assert "\n" not in str(error.value)


def test_lists_are_choices():
    lists = space({"network.hidden": {"choices": [[256, 256], [64], []]}})
    (parameter,) = lists.parameters
    assert lists.defaults(recipe()) == {"network.hidden": "[256, 256]"}
    assert lists.defaults(recipe(network={"hidden": [8]})) is None
    made = [lists.overrides(recipe(), {parameter.key: choice}) for choice in parameter.grid()]
    assert [recipe(**one).network.hidden for one in made] == [(256, 256), (64,), ()]


def test_keys_of_another_loss_are_left_out_only_where_that_is_asked_for():
    entries = {"optimizer.lr": RATE, "value_loss.sigma": {"low": 0.1, "high": 1}}
    kept = space(entries, recipe(loss="mse"), drop=True)
    assert [parameter.key for parameter in kept.parameters] == ["optimizer.lr"]
    with pytest.raises(RecipeError, match="nothing to vary for mse"):
        space({"value_loss.sigma": {"low": 0.1, "high": 1}}, recipe(loss="mse"), drop=True)


def test_keys_of_another_agent_are_left_out_only_where_that_is_asked_for():
    entries = {
        "optimizer.lr": RATE,
        "q_lambda": {"low": 0.1, "high": 0.9},
        "cql_weight": {"low": 0.1, "high": 1},
    }
    kept = resolve_space(entries, [recipe()], where="here", drop=True)
    assert [parameter.key for parameter in kept.parameters] == ["optimizer.lr"]
    with pytest.raises(RecipeError, match=r"q_lambda does not apply to dqn, but to pqn \(here\)"):
        resolve_space(entries, [recipe()], where="here")


def test_bounds_of_the_support_become_plain_where_it_is_one():
    (parameter,) = space({"value_loss.sigma": {"low": 0.01, "high": 0.1, "of": "support"}}).parameters
    assert (parameter.low, parameter.high, parameter.of) == (pytest.approx(1.2), pytest.approx(12), None)


def test_shares_of_a_symexp_support_are_of_its_axis():
    from catzoo.losses import LOSSES

    own = recipe(value_loss={"spacing": "symexp", "v_min": -1_000.0, "v_max": 1_000.0})
    (parameter,) = space({"value_loss.sigma": {"low": 0.004, "high": 0.1, "of": "support"}}, own).parameters
    assert parameter.low == pytest.approx(0.004 * 2 * np.log(1_001))
    LOSSES["hl_gauss"](**{**own.value_loss.arguments(), "sigma": 10 * parameter.low})
    assert parameter.contains(value_of(own, "value_loss.sigma"))


def test_a_support_that_moves_has_no_shares():
    adaptive = recipe(support="adaptive")
    with pytest.raises(
        RecipeError, match=r"value_loss.sigma: of: support goes with ends that stay"
    ) as caught:
        space({"value_loss.sigma": {"low": 0.01, "high": 0.1, "of": "support"}}, adaptive)
    assert "\n" not in str(caught.value)
    assert space({"value_loss.sigma_ratio": {"choices": [0.5, 0.75]}}, adaptive).parameters


def test_bounds_of_the_support_are_multiplied_where_it_differs():
    recipes = (recipe(), recipe("Acrobot-v1"))
    both = space({"value_loss.sigma": {"low": 0.01, "high": 0.1, "of": "support"}}, *recipes)
    found = [both.overrides(one, {"value_loss.sigma": 0.1})["value_loss"]["sigma"] for one in recipes]
    spans = [one.value_loss.v_max - one.value_loss.v_min for one in recipes]
    assert spans[0] == spans[1] or found == pytest.approx([0.1 * span for span in spans])
    far = (recipe(), recipe(value_loss={"v_max": 1200.0}))
    found = [
        space({"value_loss.sigma": {"low": 0.01, "high": 0.1, "of": "support"}}, *far).overrides(
            one, {"value_loss.sigma": 0.1}
        )["value_loss"]["sigma"]
        for one in far
    ]
    assert found == pytest.approx([12, 120])


def test_whole_numbers_that_are_multiples_are_rounded_for_each_recipe():
    recipes = (recipe(n_step=3), recipe(n_step=5))
    both = space({"n_step": {"low": 0.5, "high": 2, "of": "recipe"}}, *recipes)
    assert [both.overrides(one, {"n_step": 1.5})["n_step"] for one in recipes] == [4, 8]
    (parameter,) = space({"n_step": {"low": 0.5, "high": 2, "of": "recipe"}}, recipes[0]).parameters
    assert (parameter.kind, parameter.low, parameter.high) == ("int", 2, 6)


def test_a_sigma_takes_the_place_of_the_recipes_ratio():
    own = recipe(value_loss={"sigma_ratio": 2.0})
    chosen = {"value_loss.sigma": 3.0}
    words = space({"value_loss.sigma": {"low": 0.1, "high": 10}}, own).overrides(own, chosen)
    tried = recipe(value_loss=merge({"sigma_ratio": 2.0}, words["value_loss"]))
    assert (tried.value_loss.sigma, tried.value_loss.sigma_ratio) == (3.0, None)


def test_the_default_is_the_recipes_own():
    tuned = space({"optimizer.lr": RATE, "value_loss.sigma": {"low": 0.1, "high": 10}})
    assert tuned.defaults(recipe()) == {
        "optimizer.lr": 1e-3,
        "value_loss.sigma": pytest.approx(0.75 * 120 / 51),
    }
    assert tuned.defaults(recipe(optimizer={"lr": 0.5})) is None


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"sigma_ratio": 2.0},
        {"align": "centers"},
        {"sigma": 3.0},
        {"pad_sigmas": 3.0},
        {"pad_sigmas": 3.0, "sigma_ratio": 2.0, "align": "centers"},
        {"spacing": "symexp", "pad_sigmas": 1.0},
    ],
)
def test_the_default_sigma_is_the_losses(how):
    from catzoo.losses import LOSSES

    own = recipe(value_loss=how)
    loss = LOSSES["hl_gauss"](**own.value_loss.arguments())
    assert value_of(own, "value_loss.sigma") == pytest.approx(float(loss.sigma))


@given(st.floats(1e-6, 1e3), st.floats(1.001, 1e3), st.integers(2, 9), st.booleans())
def test_a_grid_spans_its_bounds(low, factor, points, log):
    grid = Parameter("optimizer.lr", "float", low, low * factor, log, points=points).grid()
    assert len(grid) == points
    assert grid == sorted(grid)
    assert grid[0] == pytest.approx(low)
    assert grid[-1] == pytest.approx(low * factor)


def test_every_space_of_the_zoo_serves_every_agent_and_loss():
    from catzoo.hparams import VALUE_LOSSES
    from catzoo.zoo.catalogue.recipe_files import agents
    from catzoo.zoo.tuning.spaces import find_space, spaces

    meant = {name: agents() for name in ("fair", "bins", "wide")}
    meant["wide"] = [agent for agent in agents() if agent != "wordle"]  # whose discount is 1
    meant |= {"ensemble": ["sac", "td3"], "policy": ["ppo", "impala"], "conservative": ["cql", "wordle"]}
    for name in spaces():
        where, entries = find_space(name)
        for agent in agents():
            for loss in VALUE_LOSSES:
                own = [
                    find_recipe(agent, env, loss)
                    for env in ("CartPole-v1", "MinAtar/Breakout", "ALE/Pong-v5")
                ]
                if "num_bins" not in VALUE_LOSSES[loss].keys and set(entries) <= {
                    f"value_loss.{key}" for key in VALUE_LOSSES["hl_gauss"].keys
                }:
                    with pytest.raises(RecipeError, match="nothing to vary"):
                        resolve_space(entries, own, where=where, drop=True)
                    continue
                found = resolve_space(entries, own, where=where, drop=True)
                chosen = {parameter.key: parameter.grid()[-1] for parameter in found.parameters}
                for one in own:
                    find_recipe(agent, one.env, loss, [found.overrides(one, chosen)])
                if agent in meant.get(name, ()):
                    assert found.defaults(own[0]) is not None, (name, agent, loss)


def test_one_end_of_an_automatic_support_is_not_varied():
    from catzoo.zoo.tuning.spaces import find_space

    automatic = [find_recipe("dqn", "LunarLander-v3", "hl_gauss")]
    where, entries = find_space("support")
    named = resolve_space(entries, automatic, where=where, drop=True)
    assert [one.key for one in named.parameters] == ["value_loss.num_bins", "value_loss.sigma"]
    upper = {"value_loss.v_max": {"low": 1.0, "high": 9.0}}
    with pytest.raises(RecipeError, match="v_max does not apply to an automatic support without the other"):
        resolve_space(upper, automatic, where="here")
    both = {**upper, "value_loss.v_min": {"low": -9.0, "high": -1.0}}
    assert len(resolve_space(both, automatic, where="here").parameters) == 2
