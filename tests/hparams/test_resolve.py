"""From a recipe file and a command line to one recipe: who overrides whom, and what is refused."""

import fnmatch
import re

import pytest

from catzoo.hparams import (
    RECIPES,
    VALUE_LOSSES,
    Recipe,
    RecipeError,
    build_recipe,
    keys_of,
    loss_name,
    parse_override,
    read_yaml,
    resolve,
)
from catzoo.losses import LOSSES
from catzoo.zoo.catalogue.recipe_files import agents, find_recipe, recipe_source

SOURCE = {
    "agent": "dqn",
    "defaults": {"gamma": 0.9, "optimizer": {"lr": 1e-3, "eps": 1e-8}, "value_loss": {"name": "hl_gauss"}},
    "environments": {
        "Cart*": {
            "gamma": 0.95,
            "value_loss": {"v_min": 0.0, "v_max": 100.0, "sigma_ratio": 0.5},
            "losses": {"mse": {"optimizer": {"lr": 5e-4}}},
        },
        "CartPole-v1": {"steps": 77},
    },
}


def resolved(env="CartPole-v1", loss=None, *overrides):
    return resolve(SOURCE, env=env, loss=loss, overrides=[parse_override(text) for text in overrides])


def test_later_sections_and_the_user_win():
    assert resolved("Other-v0").gamma == 0.9
    assert resolved().gamma == 0.95
    assert resolved().steps == 77
    assert resolved("CartPole-v1", None, "gamma=0.5").gamma == 0.5


def test_variants_of_a_game_have_its_sections_and_may_have_their_own():
    assert resolved("CartPole-v1?mode=1").steps == 77
    own = {**SOURCE, "environments": {**SOURCE["environments"], "CartPole-v1?mode=2": {"steps": 78}}}
    assert [resolve(own, env=f"CartPole-v1?mode={mode}").steps for mode in (1, 2)] == [77, 78]
    plain, variant = (
        find_recipe("dqn", env, preset="atari-100k").to_dict()
        for env in ("ALE/Asteroids-v5", "ALE/Asteroids-v5?mode=5&difficulty=3")
    )
    assert {**plain, "env": variant["env"]} == variant


def test_each_of_several_games_has_an_environment():
    source = {"agent": "impala", "defaults": {"num_envs": 2}}
    three = "CartPole-v1+Acrobot-v1+MountainCar-v0"
    assert resolve(source, env=three).num_envs == 3
    assert resolve(source, env=three, overrides=[{"num_envs": 1}]).num_envs == 1  # refused by the environment
    assert resolve(source, env="CartPole-v1").num_envs == 2
    assert resolve(source, env=three).games == ["CartPole-v1", "Acrobot-v1", "MountainCar-v0"]


def test_merging_keeps_neighbours():
    recipe = resolved("CartPole-v1", None, "optimizer.lr=1e-2")
    assert (recipe.optimizer.lr, recipe.optimizer.eps) == (1e-2, 1e-8)


def test_a_loss_has_its_own_section_and_sees_only_its_keys():
    recipe = resolved("CartPole-v1", "mse")
    assert recipe.optimizer.lr == 5e-4
    assert recipe.value_loss.arguments() == {}
    assert resolved("CartPole-v1", "c51").value_loss.arguments() == {"v_min": 0.0, "v_max": 100.0}


def test_sigma_replaces_the_recipes_ratio():
    arguments = resolved("CartPole-v1", None, "value_loss.sigma=2").value_loss.arguments()
    assert arguments["sigma"] == 2
    assert "sigma_ratio" not in arguments


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["value_loss.sigma=2", "value_loss.sigma_ratio=1"], "exclude each other"),
        (["value_loss.v_min=200"], "v_min=200 must be below value_loss.v_max=100"),
        (["value_loss.num_bins=1"], "value_loss.num_bins=1: must be at least 2"),
        (["steps=-5"], "steps=-5: must be at least 1"),
        (["value_loss.name=hlgaus"], "did you mean hl_gauss"),
        (["value_loss.name=mse", "value_loss.num_bins=5"], "num_bins does not apply to mse"),
    ],
)
def test_refused(overrides, words):
    with pytest.raises(RecipeError) as caught:
        resolved("CartPole-v1", None, *overrides)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optimizr.lr=1", "did you mean optimizer.lr"),
        ("value_loss.numbins=3", "did you mean value_loss.num_bins"),
        ("gamma", "key=value"),
        ("=3", "key=value"),
        ("gamma=[1", "not a value"),
    ],
)
def test_bad_overrides(text, words):
    with pytest.raises(RecipeError, match=words):
        parse_override(text)


def test_override_values_are_yaml():
    assert parse_override("network.hidden=[64, 32]") == {"network": {"hidden": [64, 32]}}
    assert parse_override("reward_clip=null") == {"reward_clip": None}


def test_one_option_of_an_environment_leaves_the_others():
    source = {**SOURCE, "defaults": {**SOURCE["defaults"], "env_options": {"a": 1, "b": 2}}}
    recipe = resolve(source, env="X-v0", overrides=[parse_override("env_options.b=c d")])
    assert recipe.env_options == {"a": 1, "b": "c d"}
    with pytest.raises(RecipeError, match=r"unknown key env_options\."):
        parse_override("env_options.=3")


def test_two_names_for_the_loss_must_agree():
    with pytest.raises(RecipeError, match="disagree"):
        resolved("CartPole-v1", "mse", "value_loss.name=c51")


@pytest.mark.parametrize("spelling", ["HL-Gauss", "hlgauss", "hl_gauss", "HLGauss"])
def test_common_spellings(spelling):
    assert loss_name(spelling) == "hl_gauss"


def test_recipes_know_the_losses_that_exist():
    assert set(VALUE_LOSSES) == set(LOSSES)


def test_every_loss_has_a_title_a_note_and_a_line_of_its_own():
    entries = VALUE_LOSSES.values()
    assert all(entry.title and entry.note for entry in entries)
    assert sorted(entry.order for entry in entries) == list(range(len(entries)))


def test_the_resolved_recipe_survives_a_round_trip():
    recipe = resolved("CartPole-v1", "c51")
    assert build_recipe(recipe.to_dict(), where="here") == recipe


@pytest.mark.parametrize("content", [b"[1, 2", b"- 1", b"\xff\xfe\x00", b"", b"[" * 5000])
def test_corrupt_files(tmp_path, content):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        read_yaml(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_yaml_cannot_construct_objects(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("a: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(RecipeError, match="not YAML"):
        read_yaml(path)


def test_unknown_sections_are_named():
    with pytest.raises(RecipeError, match="'enviroments'"):
        resolve({"enviroments": {}}, env="x")


PRESETS = {
    **SOURCE,
    "presets": {
        "short": {"for": "Cart*", "steps": 5, "losses": {"mse": {"gamma": 0.1}}},
        "long": {"description": "for everything", "steps": 5_000},
    },
}


def test_a_preset_comes_after_the_environment_and_before_the_user():
    assert resolve(PRESETS, env="CartPole-v1").steps == 77
    recipe = resolve(PRESETS, env="CartPole-v1", preset="short")
    assert (recipe.steps, recipe.gamma, recipe.preset) == (5, 0.95, "short")
    assert resolve(PRESETS, env="CartPole-v1", preset="short", loss="mse").gamma == 0.1
    assert resolve(PRESETS, env="CartPole-v1", preset="short", overrides=[{"steps": 9}]).steps == 9
    assert resolve(PRESETS, env="Other-v0", preset="long").steps == 5_000


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"preset": "shrt"}, "unknown preset 'shrt': dqn has short, long; did you mean short?"),
        ({"preset": "short", "env": "Other-v0"}, "preset short is for Cart*, not for Other-v0"),
        ({"overrides": [{"preset": "short"}]}, "the preset is not an override"),
        ({"overrides": [{"epochs": 3}]}, "epochs does not apply to dqn, but to pqn, ppo (command line)"),
        ({"overrides": [{"agent": "pqn"}]}, "the agent is not an override"),
    ],
)
def test_presets_and_keys_that_do_not_fit(settings, words):
    with pytest.raises(RecipeError, match=re.escape(words)):
        resolve(PRESETS, **{"env": "CartPole-v1", **settings})


@pytest.mark.parametrize(
    ("agent", "override", "words"),
    [
        ("pqn", "replay.capacity=5", "replay does not apply to pqn, but to dqn, rainbow, cql, sac, td3"),
        ("pqn", "double=true", "double does not apply to pqn, but to dqn, rainbow, cql"),
        ("cql", "replay.capacity=5", "replay.capacity does not apply to cql, but to dqn, rainbow, sac, td3"),
        (
            "cql",
            "compute.overlap=true",
            "compute.overlap does not apply to cql, but to dqn, rainbow, pqn, sac, td3",
        ),
        ("rainbow", "cql_weight=1", "cql_weight does not apply to rainbow, but to cql"),
    ],
)
def test_a_key_of_another_agent_says_whose_it_is(agent, override, words):
    with pytest.raises(RecipeError, match=re.escape(words)) as error:
        find_recipe(agent, "CartPole-v1", overrides=[parse_override(override)])
    assert "\n" not in str(error.value)


def test_a_file_with_another_agents_key_is_named():
    with pytest.raises(RecipeError, match=r"q_lambda does not apply to dqn, but to pqn \(mine.yaml\)"):
        resolve({**SOURCE, "defaults": {"q_lambda": 0.5}}, env="X-v0", where="mine.yaml")
    with pytest.raises(RecipeError, match=r"unknown agent 'dqm' \(mine.yaml\).*did you mean dqn"):
        resolve({**SOURCE, "agent": "dqm"}, env="X-v0", where="mine.yaml")


def test_recipes_have_no_key_that_no_agent_has():
    shared = {key for key in keys_of(Recipe) if not key.startswith("network.")}
    for agent, schema in RECIPES.items():
        assert shared <= set(keys_of(schema)), agent
        assert any(key.startswith("network.") for key in keys_of(schema)), agent


@pytest.mark.parametrize("env", ["CartPole-v1", "Acrobot-v1", "Some-v0", "MinAtar/Breakout", "ALE/Pong-v5"])
def test_every_recipe_of_the_zoo_resolves(env):
    for agent in agents():
        for loss in VALUE_LOSSES:
            assert find_recipe(agent, env, loss).agent == agent
        for name, preset in recipe_source(agent).get("presets", {}).items():
            if fnmatch.fnmatchcase(env, preset.get("for", "*")):
                assert find_recipe(agent, env, preset=name).preset == name
