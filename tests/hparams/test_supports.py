"""An automatic support: when a recipe has one, and what excludes it."""

import pytest

from catzoo.hparams import RecipeError, build_recipe, resolve
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.folders.recipe_sources import _overridden

OWN, KNOWN = "LunarLander-v3", "CartPole-v1"
ENDS = {"v_min": -10.0, "v_max": 10.0}


def ends(recipe):
    return recipe.support, recipe.normalize.reward, recipe.value_loss.v_min, recipe.value_loss.v_max


def found(agent, env, *said, loss="hl_gauss"):
    return find_recipe(agent, env, loss, said, None)


@pytest.mark.parametrize("agent", ["dqn", "rainbow", "pqn"])
@pytest.mark.parametrize("loss", ["hl_gauss", "c51", "two_hot", "mse", "huber"])
def test_what_the_zoo_does_not_know_is_scaled_with_any_loss(agent, loss):
    categorical = loss in ("hl_gauss", "c51", "two_hot")
    assert ends(found(agent, OWN, loss=loss)) == (
        "auto",
        True,
        *((-10.0, 10.0) if categorical else (None, None)),
    )
    known = found(agent, KNOWN, loss=loss)
    assert (known.support, known.normalize.reward) == ("set", False)


def test_ends_that_are_said_set_the_support():
    both = {"value_loss": {"v_min": -1.0, "v_max": 5.0}}
    assert ends(found("dqn", OWN, both)) == ("set", False, -1.0, 5.0)
    scaled = {**both, "normalize": {"reward": True}}
    assert ends(found("dqn", OWN, scaled)) == ("set", True, -1.0, 5.0)


def test_a_width_in_scaled_units_leaves_it_automatic():
    recipe = found("dqn", OWN, {"value_loss": {"sigma": 0.3}})
    assert ends(recipe) == ("auto", True, -10.0, 10.0)
    assert recipe.value_loss.sigma == 0.3


def test_an_automatic_one_drops_what_the_file_has_in_units_of_value():
    assert ends(found("dqn", KNOWN, {"support": "auto"})) == ("auto", True, -10.0, 10.0)
    acrobot = found("dqn", "Acrobot-v1", {"support": "auto"})
    assert acrobot.value_loss.sigma is None
    assert acrobot.value_loss.num_bins == 187
    said = {"support": "auto", "value_loss": {"sigma": 0.3}}
    assert found("dqn", "Acrobot-v1", said).value_loss.sigma == 0.3


@pytest.mark.parametrize("agent", ["dqn", "rainbow", "pqn"])
def test_an_adaptive_one_begins_around_the_initial_value_in_units_of_reward(agent):
    for env in (OWN, KNOWN):
        assert ends(found(agent, env, {"support": "adaptive"})) == ("adaptive", False, -1.0, 1.0)
    said = {"support": "adaptive", "initial_value": -20}
    assert ends(found(agent, OWN, said, loss="c51")) == ("adaptive", False, -40.0, 0.0)
    scaled = {"support": "adaptive", "normalize": {"reward": True}}
    assert ends(found(agent, OWN, scaled)) == ("adaptive", True, -1.0, 1.0)
    assert ends(found(agent, OWN, {"support": "adaptive"}, loss="mse")) == ("adaptive", False, None, None)
    assert found("dqn", "Acrobot-v1", {"support": "adaptive"}).value_loss.sigma is None


def test_an_adaptive_one_of_a_file_gives_way_to_ends():
    adaptive = found("dqn", KNOWN, {"support": "adaptive"})
    assert ends(_overridden(adaptive, [{"value_loss": {"v_max": 3.0}}])) == ("set", False, -1.0, 3.0)
    assert ends(_overridden(adaptive, [{"initial_value": 5.0}])) == ("adaptive", False, 0.0, 10.0)
    assert ends(_overridden(adaptive, [{"support": "auto"}])) == ("auto", True, -10.0, 10.0)
    assert ends(_overridden(found("dqn", OWN), [{"support": "adaptive"}])) == ("adaptive", False, -1.0, 1.0)
    assert build_recipe(adaptive.to_dict(), where="here") == adaptive
    with pytest.raises(RecipeError, match=r"leave value_loss.sigma out"):
        _overridden(adaptive, [{"value_loss": {"sigma": 1.0}}])


def test_a_recipe_of_a_file_follows_the_same_rules():
    auto = found("dqn", OWN)
    both = [{"value_loss": {"v_min": -10.0}}, {"value_loss": {"v_max": 3.0}}]  # as key=value come
    assert ends(_overridden(auto, both)) == ("set", False, -10.0, 3.0)
    assert ends(found("dqn", OWN, *both)) == ("set", False, -10.0, 3.0)
    known = found("dqn", KNOWN)
    assert ends(_overridden(known, [{"support": "auto"}])) == ("auto", True, -10.0, 10.0)
    for recipe in (auto, known):
        assert build_recipe(recipe.to_dict(), where="here") == recipe
        assert _overridden(recipe, []) == recipe


@pytest.mark.parametrize(
    ("agent", "said", "words"),
    [
        ("dqn", {"support": "auto", "value_loss": {"v_min": -1}}, "leave value_loss.v_min out"),
        ("dqn", {"support": "auto", "value_loss": ENDS}, "leave value_loss.v_min and value_loss.v_max out"),
        ("pqn", {"support": "auto", "normalize": {"reward": False}}, "normalize.reward=false does not go"),
        (
            "dqn",
            {"value_loss": {"v_max": 3.0}},
            "it was automatic (±10 of scaled returns): say value_loss.v_min as well",
        ),
        ("dqn", {"support": "set", "value_loss": {"v_max": 3.0}}, "say value_loss.v_min as well"),
        ("dqn", {"support": "outo"}, "must be one of set, auto, adaptive (command line); did you mean auto?"),
        ("cql", {"support": "auto"}, "support does not apply to cql"),
        (
            "dqn",
            {"support": "adaptive", "value_loss": ENDS},
            "leave value_loss.v_min and value_loss.v_max out",
        ),
        ("pqn", {"support": "adaptive", "value_loss": {"sigma": 1}}, "leave value_loss.sigma out"),
        (
            "dqn",
            {"support": "adaptive", "compute": {"compile": True}},
            "compute.compile=true takes as constant",
        ),
        ("dqn", {"support": "adaptive", "value_loss": {"spacing": "symexp"}}, "spacing=symexp does not go"),
        ("dqn", {"support": "adaptive", "compute": {"cuda_graph": True}}, "compute.cuda_graph=true takes"),
        ("dqn", {"value_loss": 1}, "value_loss is a group of keys, not a value"),
        ("dqn", {"normalize": "reward"}, "normalize is a group of keys, not a value"),
        ("dqn", {"initial_value": 11.0}, None),
    ],
)
def test_what_contradicts_itself_is_one_line(agent, said, words):
    if words is None:
        found(agent, OWN, said)  # whether it is within the support the loss knows
        return
    with pytest.raises(RecipeError) as caught:
        found(agent, OWN, said)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_that_was_edited_by_hand_is_checked():
    adaptive = found("dqn", OWN, {"support": "adaptive"}).to_dict()
    adaptive["value_loss"]["v_max"] = 2.0
    with pytest.raises(
        RecipeError, match=r"begins at value_loss.v_min=-1 and value_loss.v_max=1: support=set"
    ):
        build_recipe(adaptive, where="here")
    values = found("dqn", OWN).to_dict()
    values["value_loss"]["v_min"] = -20.0
    with pytest.raises(RecipeError, match=r"value_loss.v_min=-10 and value_loss.v_max=10: support=set takes"):
        build_recipe(values, where="here")


@pytest.mark.parametrize(
    "said",
    [
        {"support": "auto"},
        {"support": "set", "normalize": {"reward": False}, "value_loss": {"v_min": -10.0, "v_max": 50.0}},
        {"value_loss": {"v_min": -10.0, "v_max": 50.0}},
    ],
)
def test_observations_are_scaled_whatever_the_support(said):
    for agent in ("sac", "td3", "ppo", "impala"):
        assert found(agent, "Pendulum-v1", said).normalize.observation, agent
    assert find_recipe("td3", "Pendulum-v1", "mse", preset="fast").normalize.observation


def test_a_support_that_was_automatic_needs_both_ends():
    for said in ({"support": "set"}, {"support": "set", "value_loss": {"num_bins": 51}}):
        with pytest.raises(RecipeError, match=r"say value_loss\.v_min and value_loss\.v_max"):
            found("sac", "Pendulum-v1", said)
    assert found("sac", "Pendulum-v1", {"support": "set"}, loss="mse").support == "set"


def test_a_recipe_file_may_set_a_support_that_was_automatic():
    ends = {"hl_gauss": {"value_loss": {"v_min": -1.0, "v_max": 1.0}}}
    source = {
        "agent": "dqn",
        "defaults": {"support": "auto", "value_loss": {"name": "hl_gauss"}},
        "environments": {
            "A": {"support": "set", "losses": ends},
            "B": {"losses": {"mse": {"support": "set"}}},
        },
    }
    assert resolve(source, env="A").value_loss.v_max == 1.0
    assert [resolve(source, env=env, loss="mse").support for env in "AB"] == ["set", "set"]


def test_weight_and_strength_of_cql_exclude_each_other():
    with pytest.raises(RecipeError, match="cql_weight and cql_strength exclude each other"):
        found("cql", OWN, {"cql_weight": 0.1, "cql_strength": 0.2})  # the default too, once it is said
    made = find_recipe("cql", OWN, overrides=[{"cql_strength": 0.1}], preset="sarsa")  # which has a weight
    assert made.cql_strength == 0.1


def test_a_loss_without_a_support_says_so_itself():
    with pytest.raises(RecipeError, match="does not apply to mse"):
        found("dqn", OWN, {"value_loss": {"v_max": 3.0}}, loss="mse")
    with pytest.raises(RecipeError, match=r"say value_loss\.v_min as well"):
        _overridden(found("dqn", OWN), [{"support": "set", "value_loss": {"v_max": 3.0}}])
