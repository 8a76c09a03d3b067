"""Aggregates over environments: which, on which scale, and what is said about the rest."""

import numpy as np
import pytest

from catzoo.zoo.reporting.comparison import compare_runs
from catzoo.zoo.reporting.summary import summarise
from catzoo.zoo.statistics import aggregates
from catzoo.zoo.statistics.normalisation import scale_of
from runs_for_tests import made

ENVS = ("Acrobot-v1", "CartPole-v1")


def trained(folder, scores, **about):
    """Runs of `scores[env]`, one a seed."""
    for env, values in scores.items():
        for seed, value in enumerate(values):
            made(folder / env.replace("/", "-") / str(seed), [value], env, seed=seed, **about)


def test_several_environments_are_normalised(tmp_path):
    scores = {"Acrobot-v1": [-100.0, -90.0, -500.0, -80.0], "CartPole-v1": [500.0, 300.0, 20.0, 450.0]}
    trained(tmp_path, scores)
    summary = summarise(compare_runs(tmp_path))
    (group,) = summary.scores
    expected_SE = np.stack([[scale_of(env)(value) for value in scores[env]] for env in ENVS], axis=1)
    assert np.allclose(summary.scores[group], expected_SE)
    assert (summary.envs, summary.scale, summary.notes) == (list(ENVS), "normalised score", [])
    assert list(summary.aggregates) == ["iqm", "median", "mean", "optimality_gap"]
    for name, estimates in summary.aggregates.items():
        aggregate = aggregates.AGGREGATES[name]
        assert estimates[group].value == pytest.approx(float(aggregate(expected_SE)))
        assert (estimates[group].low, estimates[group].high) == pytest.approx(
            aggregates.interval(expected_SE, aggregate)
        )
    assert summary.improvements == []


def test_atari_is_normalised_by_a_human(tmp_path):
    trained(tmp_path, {"ALE/Pong-v5": [-20.7, 14.6], "ALE/Boxing-v5": [0.1, 12.1]})
    summary = summarise(compare_runs(tmp_path))
    (scores_SE,) = summary.scores.values()
    assert summary.scale == "human-normalised score"
    assert np.allclose(scores_SE, [[0, 0], [1, 1]])  # random play, and the human


def test_one_environment_keeps_its_returns(tmp_path):
    trained(tmp_path, {"CartPole-v1": [100.0, 200.0, 300.0]})
    summary = summarise(compare_runs(tmp_path))
    assert summary.scale == "return"
    assert list(summary.aggregates) == ["iqm", "mean"]  # no optimality gap without a scale
    assert next(iter(summary.aggregates["mean"].values())).value == 200
    assert summary.profiles == {}


def test_what_not_every_group_has_and_what_has_no_scale_is_left_out_and_named(tmp_path):
    everywhere = {env: [-100.0, -90.0] for env in (*ENVS, "MountainCar-v0")}
    trained(tmp_path / "c51", everywhere)
    trained(tmp_path / "mse", everywhere, loss="mse")
    made(tmp_path / "more", [1.0], "CartPole-v0")
    summary = summarise(compare_runs(tmp_path))
    assert summary.envs == list(ENVS)
    partial, unknown = summary.notes
    assert partial.endswith("not every group has finished runs on them: CartPole-v0")
    assert unknown.endswith("no random and reference score are known: MountainCar-v0")


def test_groups_with_nothing_in_common(tmp_path):
    made(tmp_path / "a", [1.0], "CartPole-v1", "mse")
    made(tmp_path / "b", [1.0], "Acrobot-v1", "c51")
    summary = summarise(compare_runs(tmp_path))
    assert (summary.envs, summary.scores, summary.aggregates, summary.profiles) == ([], {}, {}, {})
    assert "Acrobot-v1, CartPole-v1" in summary.notes[0]


def test_unequal_seeds_are_cut_to_the_first_and_said(tmp_path):
    trained(tmp_path, {"Acrobot-v1": [-100.0, -90.0], "CartPole-v1": [400.0, 500.0, 10.0]})
    summary = summarise(compare_runs(tmp_path))
    (scores_SE,) = summary.scores.values()
    assert scores_SE.shape == (2, 2)
    assert np.allclose(scores_SE[:, 1], [scale_of("CartPole-v1")(value) for value in (400, 500)])
    assert summary.notes == [
        "DQN · C51 has 2 to 3 seeds: the aggregates take the first 2 of every environment"
    ]


def test_one_seed_has_no_interval(tmp_path):
    trained(tmp_path / "a", {"Acrobot-v1": [-100.0], "CartPole-v1": [400.0]})
    trained(tmp_path / "b", {"Acrobot-v1": [-90.0, -80.0], "CartPole-v1": [10.0, 20.0]}, loss="mse")
    summary = summarise(compare_runs(tmp_path))
    mse, c51 = summary.scores
    assert summary.aggregates["iqm"][mse].has_interval
    assert not summary.aggregates["iqm"][c51].has_interval
    (pair,) = summary.improvements
    assert (pair.better, pair.over, pair.estimate.value) == (c51, mse, 0.5)
    assert not pair.estimate.has_interval
    assert np.isnan(summary.profiles[c51].low).all()


def test_every_pair_or_all_against_mse(tmp_path):
    losses = ["huber", "c51", "two_hot", "mse", "hl_gauss"]
    for loss in losses[:4]:
        made(tmp_path / loss, [1.0], loss=loss)
    pairs = [(pair.better.loss, pair.over.loss) for pair in summarise(compare_runs(tmp_path)).improvements]
    assert pairs == [("huber", "mse"), ("two_hot", "mse"), ("c51", "mse"), ("two_hot", "huber"),
                     ("c51", "huber"), ("c51", "two_hot")]  # fmt: skip
    made(tmp_path / losses[4], [1.0], loss=losses[4])
    pairs = [(pair.better.loss, pair.over.loss) for pair in summarise(compare_runs(tmp_path)).improvements]
    assert pairs == [("huber", "mse"), ("two_hot", "mse"), ("hl_gauss", "mse"), ("c51", "mse")]


def test_profiles_fall_from_one(tmp_path):
    random = np.random.default_rng(0)
    trained(tmp_path, {"Acrobot-v1": random.uniform(-400, -80, 5), "CartPole-v1": random.uniform(20, 500, 5)})
    summary = summarise(compare_runs(tmp_path))
    (profile,) = summary.profiles.values()
    assert profile.share[0] == 1
    assert profile.share[-1] <= 0.1
    assert (np.diff(profile.share) <= 0).all()
    assert (profile.low <= profile.share + 1e-9).all()
    assert (profile.share <= profile.high + 1e-9).all()


def test_a_profile_over_one_environment_needs_five_seeds(tmp_path):
    trained(tmp_path, {"CartPole-v1": [1.0, 2.0, 3.0, 4.0]})
    assert not summarise(compare_runs(tmp_path)).profiles
    made(tmp_path / "fifth", [5.0], seed=4)
    assert summarise(compare_runs(tmp_path)).profiles
