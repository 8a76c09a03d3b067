"""Films of policies: bars of the action's own numbers or of its chances, and the value of what was valued."""

import numpy as np
import pytest

from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.training.build import build_agent, build_env
from catzoo.zoo.training.weights import load_agent, save_weights
from catzoo.zoo.watch import film
from catzoo.zoo.watch.environment_views import open_view
from catzoo.zoo.watch.film import play, watch
from catzoo.zoo.watch.step_picture import Picture


def make_run(folder, env, loss, agent="sac"):
    recipe, run = find_recipe(agent, env, loss), Run(folder)
    run.path.mkdir(parents=True)
    run.save_recipe(recipe)
    made = build_env(recipe, 1)
    save_weights(run, build_agent(recipe, made), 0)
    made.close()
    return run.path


# The second's discrete namesake has names for its actions.
@pytest.mark.parametrize(("env", "loss"), [("Pendulum-v1", "hl_gauss"), ("MountainCarContinuous-v0", "mse")])
def test_its_numbers_are_shown(env, loss, tmp_path):
    run = make_run(tmp_path / "run", env, loss)
    made = watch(run, tmp_path / "film.gif", max_steps=5)
    assert made["steps"] == 5
    recipe, agent = load_agent(run)
    made, view = open_view(recipe)
    episode = play(agent, made, view, 3, 4)
    made.close()
    view.close()
    assert [number.shape for number in episode.numbers] == [(1,)] * 4
    assert np.abs(episode.numbers).max() <= 1
    assert {values.shape for values in episode.values} == {(1,)}
    shown = Picture(episode, film._caption(recipe, agent, ["0"]))
    shown(2)
    (bar,) = shown.action_bars.get_paths()
    height = bar.vertices[:, 1]
    assert height[np.abs(height).argmax()] == pytest.approx(episode.numbers[2][0], abs=1e-6)
    words = {text.get_text() for text in shown.figure.texts}
    assert "Action" in words
    assert "other actions" not in words


def test_chances_and_the_value_of_a_state_are_shown(tmp_path):
    recipe, agent = load_agent(make_run(tmp_path / "run", "CartPole-v1", "hl_gauss", "ppo"))
    made, view = open_view(recipe)
    episode = play(agent, made, view, 3, 4)
    made.close()
    view.close()
    assert np.sum(episode.chances, axis=1) == pytest.approx(np.ones(4))
    shown = Picture(episode, film._caption(recipe, agent, ["left", "right"]))
    shown(2)
    heights = [np.abs(bar.vertices[:, 1]).max() for bar in shown.action_bars.get_paths()]
    assert heights == pytest.approx(episode.chances[2], abs=1e-6)
    words = {text.get_text() for text in shown.figure.texts}
    assert {"Probability of every action", "Value distribution of the state", "state"} <= words
    assert any(word.startswith("V = ") for word in words)
