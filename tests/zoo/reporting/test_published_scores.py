"""Published scores: whole, of environments that exist, and beside ours only where they belong."""

from collections import Counter

import pytest

from catzoo.zoo.environments.names import SETS
from catzoo.zoo.environments.protocols import protocol_of
from catzoo.zoo.environments.registry import find_spec
from catzoo.zoo.reporting.comparison import compare_runs
from catzoo.zoo.reporting.published_scores import SOURCES, beside, published
from runs_for_tests import made

OTHERS = ("AirRaid", "Carnival", "ElevatorAction", "JourneyEscape", "Pooyan")
OTHER_GAMES = {f"ALE/{game}-v5" for game in OTHERS}


def test_the_file():
    rows = published()
    envs = {row.env for row in rows if row.source == "Dopamine"}
    assert envs - OTHER_GAMES == set(SETS["atari-57"]) - {"ALE/Defender-v5", "ALE/Surround-v5"}
    assert envs > OTHER_GAMES
    for env in {row.env for row in rows}:
        assert env.startswith("dmc/") or find_spec(env)  # an extra
        assert {row.protocol for row in rows if row.env == env} == {protocol_of(env).name}
    places = Counter((row.env, row.agent, row.steps) for row in rows)
    assert set(places.values()) == {1}
    assert set(Counter((row.env, row.agent) for row in rows if row.source == "Dopamine").values()) == {6}
    assert {row.source for row in rows} == set(SOURCES)


@pytest.mark.parametrize(
    ("env", "steps", "agent", "mean", "std", "seeds"),
    [
        ("ALE/Pong-v5", 2_500_000, "Dopamine C51", -6.09, 2.91, 5),  # 10 million frames
        ("ALE/Breakout-v5", 2_500_000, "Dopamine C51", 47.1, None, 5),
        ("CartPole-v1", 500_000, "CleanRL DQN", 488.69, 16.11, 3),
        ("Acrobot-v1", 500_000, "CleanRL C51", -87.70, 5.52, 3),
        ("Walker2d-v4", 100_000, "XQC (C51)", 3_612, 1_805, 10),
        ("Walker2d-v5", 100_000, "XQC (C51), v4", 3_612, 1_805, 10),
        ("dmc/cheetah-run", 50_000, "SimbaV2 with MSE", 668, 45, 3),
        ("dmc/cheetah-run", 50_000, "SAC (in SimbaV2's files)", 178, 37, 3),
        ("dmc/cheetah-run", 50_000, "SAC (TD-MPC2's authors)", 310, 65, 3),
        ("HalfCheetah-v4", 1_000_000, "CleanRL TD3", 9_583, 126, 3),
    ],
)
def test_some_of_it(env, steps, agent, mean, std, seeds):
    (row,) = (row for row in published() if (row.env, row.steps, row.agent) == (env, steps, agent))
    assert row.mean == pytest.approx(mean, abs=0.06 if mean % 1 else 0.6)
    assert std is None or row.std == pytest.approx(std, abs=0.6)
    assert row.seeds == seeds


def found(tmp_path, **about):
    made(tmp_path / "run", [1.0], **about)
    return beside(compare_runs(tmp_path))


def test_beside_ours(tmp_path):
    scores = found(tmp_path, env="ALE/Pong-v5", steps=50_000_000)
    assert len(scores) == 6
    assert {(score.env, score.steps) for score in scores} == {("ALE/Pong-v5", 50_000_000)}
    others = {score.agent for score in found(tmp_path / "b", steps=500_000)}
    assert others == {"CleanRL DQN", "CleanRL C51", "CleanRL PPO"}


@pytest.mark.parametrize(
    "about",
    [
        {"env": "CartPole-v1", "steps": 500_001},
        {"env": "ALE/Pong-v5", "steps": 2_500_000, "env_options": {"repeat_action_probability": 0.0}},
        {"env": "ALE/Pong-v5", "steps": 2_500_000, "env_options": {"frameskip": 2}},
        {"env": "ALE/Surround-v5", "steps": 2_500_000},
        {"env": "ALE/Pong-v5?mode=1", "steps": 2_500_000},
        {"env": "ALE/Pong-v5?mode=0&difficulty=0", "steps": 2_500_000},
        {"env": "MinAtar/Breakout", "steps": 2_500_000},
    ],
)
def test_not_beside_ours(about, tmp_path):
    assert found(tmp_path, **about) == []
