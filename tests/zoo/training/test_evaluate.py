"""Evaluations end, say what they cut, and open no more environments than the training did."""

import json

import numpy as np
import pytest

from catzoo.agents import evaluate_policy
from catzoo.hparams import RecipeError
from catzoo.zoo.cli.main import main
from catzoo.zoo.environments.making import make_under
from catzoo.zoo.environments.protocols import protocol_of, with_limit
from catzoo.zoo.reporting.result_table import print_result
from catzoo.zoo.training.evaluate import evaluate
from catzoo.zoo.training.export import export
from catzoo.zoo.training.train import train
from environments_for_tests import Corridor, Left, registered

TINY = ["num_envs=2", "rollout_length=5", "learning_starts=100", "batch_size=16", "network.hidden=[8]"]


def test_what_is_longer_than_its_limit_is_cut_and_counted(corridor):
    scores = evaluate_policy(Left(), corridor((10**9, 3)), 4, seed=0, max_steps=16)
    assert scores.cut == 2
    scores = evaluate_policy(Left(), corridor((15, 3)), 4, seed=0, max_steps=16)
    assert scores == [6.0, 6.0, 120.0, 120.0]
    assert scores.cut == 0


@pytest.mark.parametrize(
    ("episodes", "block", "played"),
    [(7, 1, [4, 3]), (6, 2, [4, 2]), (8, 2, [4, 4]), (7, 2, [4, 3]), (5, 2, [3, 2]), (1, 2, [1, 0])],
)
def test_blocks_of_episodes_stay_together(corridor, episodes, block, played):
    scores = evaluate_policy(Left(), corridor((3, 3)), episodes, seed=0, block=block)
    assert [scores.envs.count(env) for env in (0, 1)] == played


def test_a_budget_ends_what_is_open_and_begins_no_more(corridor):
    scores = evaluate_policy(Left(), corridor((10, 10**9)), 20, seed=0, budget=2 * 16)
    assert scores == [55.0, 21.0, 136.0]  # whole, six steps, and sixteen
    assert scores.cut == 2


@pytest.mark.parametrize(
    ("env", "options", "length"),
    [
        ("CliffWalking-v1", {}, 12),
        ("Acrobot-v1", {"max_episode_steps": 7}, 7),
        ("Acrobot-v1", {}, 12),
        ("ALE/Pong-v5", {}, 12),
        ("ALE/Pong-v5", {"max_num_frames_per_episode": 40}, 10),
    ],
)
def test_a_limit_shortens_and_never_lengthens(env, options, length):
    made = make_under(with_limit(protocol_of(env, options), 12), 1)
    made.reset(seed=0)
    truncated = [bool(made.step(np.array([0]))[3][0]) for _ in range(length)]
    made.close()
    assert truncated == [False] * (length - 1) + [True]


def test_a_limit_that_is_there_already_changes_nothing():
    for env in ("CartPole-v1", "ALE/Pong-v5", "MountainCar-v0"):
        assert with_limit(protocol_of(env), 27_000) == protocol_of(env)


def test_an_endless_environment_is_evaluated_within_its_share(tmp_path, capsys):
    with registered("Endless-v0", lambda: Corridor(10**9)) as name:
        result = train(
            "dqn", name, steps=200, run_dir=tmp_path / "run",
            overrides=[*TINY, "eval={every: 100, interim_episodes: 2, episodes: 3}", "eval.max_steps=500",
                       "eval.share=0.5"],
        )  # fmt: skip
        assert (result["episodes"], result["cut"]) == (2, 2)
        assert result["returns"] == [56 * 57 / 2] * 2  # half of 200 steps, up to whole rollouts of 8
        assert json.loads((tmp_path / "run" / "result.json").read_text())["cut"] == 2
        again = evaluate(tmp_path / "run")
        assert (again["returns"], again["cut"]) == (result["returns"], 2)
        assert main(["eval", str(tmp_path / "run")]) == 0
        assert "2 of 2 episodes were cut" in capsys.readouterr().out
        asked = evaluate(tmp_path / "run", episodes=3)  # as many as they take
        assert (len(asked["returns"]), asked["cut"]) == (3, 3)
        assert asked["returns"][0] == 500 * 501 / 2
    print_result(result)
    assert "2 of 2 episodes were cut" in capsys.readouterr().out


def test_a_simulator_of_which_there_can_be_one(tmp_path, capsys):
    opened = []

    class Simulator(Corridor):
        def __init__(self):
            super().__init__()
            if opened:
                raise RuntimeError("port 5005 is taken")
            opened.append(self)

        def close(self):
            opened.remove(self)

    with registered("Simulator-v0", Simulator) as name:
        result = train(
            "dqn", name, steps=200, run_dir=tmp_path / "run",
            overrides=[*TINY, "num_envs=1", "eval.every=100", "eval.episodes=5"],
        )  # fmt: skip
        assert result["episodes"] == 5
        out = tmp_path / "run.pt2"
        assert export(tmp_path / "run", out, form="torch-export")["out"] == str(out)
        assert not opened
    said = capsys.readouterr().out
    assert "no evaluation at step 100, and the training goes on: Simulator-v0: cannot be made: port" in said


def test_it_is_measured_elsewhere_where_spaces_are_the_same():
    name = "dqn-CartPole-v1-hl_gauss"
    result = evaluate(name, env="CartPole-v0", episodes=3)
    assert (result["env"], result["mean_return"]) == ("CartPole-v0", 200.0)
    with pytest.raises(
        RecipeError, match=r"Acrobot-v1: its observations or actions are not those of CartPole"
    ):
        evaluate(name, env="Acrobot-v1")
    with pytest.raises(RecipeError, match="did you mean CartPole-v1"):
        evaluate(name, env="CartPol-v1")


def test_games_of_chess_are_told_in_elo(capsys):
    result = {
        "env": "chess/random", "loss": "mse", "steps": 1, "seed": 0, "episodes": 4, "mean_return": 1.0,
        "interval_95": [1.0, 1.0], "returns": [1.0] * 4, "protocol": {"name": "chess"},
    }  # fmt: skip
    print_result(result)
    assert "Elo over chess/random: +inf [+7, +inf]" in " ".join(capsys.readouterr().out.split())
    for returns in ({"returns": [5.0, 5.0]}, {"returns": []}):  # nobody's games
        print_result(result | returns)
        assert "Elo" not in capsys.readouterr().out
