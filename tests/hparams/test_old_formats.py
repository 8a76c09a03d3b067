"""Recipes that earlier versions wrote are today's: no key is lost, and none has another value.

`recipes_of_format_1.json` has what every combination of agent, environment, loss and preset resolved to when
all recipes had all keys: `first`, flat, and for each of `recipes` what it sets and lacks beside it.
"""

import json
from pathlib import Path

import pytest

from catzoo.hparams import RecipeError, build_recipe, merge
from catzoo.hparams.old_formats import FORMAT, LATER, UNUSED, upgraded
from catzoo.zoo.catalogue.recipe_files import find_recipe

FROZEN = json.loads((Path(__file__).parent / "recipes_of_format_1.json").read_text())


def nested(values):
    found = {}
    for key, value in values.items():
        *path, last = key.split(".")
        place = found
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return found


def frozen(agent, env, preset, index):
    entry = FROZEN["recipes"][index]
    values = {key: value for key, value in FROZEN["first"].items() if key not in entry["gone"]}
    return nested({**values, **entry["set"], "agent": agent, "env": env, "preset": preset})


def test_all_441_combinations_resolve_to_what_they_did():
    assert len(FROZEN["combos"]) == 441
    for agent, env, loss, preset, index in FROZEN["combos"]:
        then = upgraded(frozen(agent, env, preset, index), 1, "here")
        then = merge(then, {"initial_value": 0.0, "network": {"pixels": None}})
        before = build_recipe(then, where="here").to_dict()  # with the keys of later versions
        if (agent, env) == ("rainbow", "MinAtar/Asterix"):  # it had three-step returns
            before["n_step"] = 1
        # What the zoo does not know had ends of +-100, and has an automatic support.
        own = env == "LunarLander-v3" and agent != "cql" and "v_min" in before["value_loss"]
        said = [{"value_loss": {"v_min": -100.0, "v_max": 100.0}}] if own else []
        now = find_recipe(agent, env, loss, said or [{"support": "set"}] * (agent != "cql"), preset).to_dict()
        assert json.dumps(now, sort_keys=True) == json.dumps(before, sort_keys=True), (
            agent,
            env,
            loss,
            preset,
        )


def test_what_is_left_out_the_agent_never_had():
    for agent, env, _, preset, index in FROZEN["combos"][::10]:
        with pytest.raises(RecipeError, match=f"does not apply to {agent}, but to"):
            build_recipe(frozen(agent, env, preset, index), where="here")


def test_a_key_that_nobody_had_is_still_an_error():
    recipe = {"agent": "dqn", "gama": 0.9, "epochs": 2}
    with pytest.raises(RecipeError, match="unknown key gama"):
        build_recipe(upgraded(recipe, 1, "here"), where="here")


@pytest.mark.parametrize("found", [None, 0, FORMAT + 1, "1", True, 1.0])
def test_formats_that_were_never_written_are_refused(found):
    with pytest.raises(RecipeError, match=r"^here: run format .*, this version reads 1 to 3$"):
        upgraded({"agent": "dqn"}, found, "here")


def test_the_present_format_is_left_as_it_is():
    assert upgraded({"agent": "dqn", "epochs": 2}, FORMAT, "here") == {"agent": "dqn", "epochs": 2}


def test_values_of_earlier_formats_began_wherever_the_network_did():
    assert upgraded({"agent": "dqn", "epochs": 2}, 2, "here") == {"agent": "dqn", "epochs": 2, **LATER}
    assert upgraded({"agent": "dqn", "epochs": 2}, 1, "here") == {"agent": "dqn", **LATER}
    recipe = build_recipe(upgraded({"agent": "dqn", "network": {"width": 2.0}}, 2, "here"), where="here")
    assert (recipe.initial_value, recipe.network.pixels, recipe.network.width) == (None, True, 2.0)


def test_every_agent_of_format_1_is_known():
    assert set(UNUSED) == {"dqn", "rainbow", "pqn", "cql"}
