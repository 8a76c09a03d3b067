"""The training benchmark: its rows, that it goes on, and that its peers do the same work."""

import csv
import math
import subprocess

import gymnasium as gym
import numpy as np
import pytest
import torch

from catzoo.hparams import RecipeError
from catzoo.zoo.bench.loops import loop_worker, training
from catzoo.zoo.bench.loops.job import Greedy, Job, bench_recipe, burst
from catzoo.zoo.bench.loops.loop_summary import summarise
from catzoo.zoo.bench.loops.training import COLUMNS, PARTS, bench_training, print_table
from catzoo.zoo.statistics.intervals import student_interval

STEPS = 640
ALL_PEERS = ("sb3", "sb3-vec", "torchrl", "sbx", "sbx-vec")


def job(library="catzoo"):
    return Job("speed", "CartPole-v1", library, "huber", 0, STEPS)


def bench(tmp_path, said, **kwargs):
    options = {"steps": STEPS, "seeds": 1, "peers": (), "parts": ("speed",), "episodes": 2}
    return bench_training(out=tmp_path, progress=said.append, isolate=False, **options | kwargs)


def read(tmp_path):
    with (tmp_path / "training-CartPole-v1.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_are_complete_appended_and_resumed(tmp_path):
    said = []
    rows = bench(tmp_path, said)
    assert [(row["library"], row["loss"]) for row in rows] == [
        ("catzoo", "huber"),
        ("catzoo", "hl_gauss"),
        ("catzoo pqn", "hl_gauss"),
    ]
    for row in rows:
        assert tuple(row) == COLUMNS
        assert row["steps_per_second"] > 0
        assert row["updates"] > 0
        assert isinstance(row["mean_return"], float)
        assert row["versions"].startswith("catzoo=")
        assert row["command"].startswith("catzoo bench training --env CartPole-v1")
    assert len(read(tmp_path)) == 3

    again = bench(tmp_path, said, seeds=2)
    assert again[:3] == rows, "what was there is read back, not measured again"
    assert [row["seed"] for row in again] == [0, 0, 0, 1, 1, 1]
    assert len(read(tmp_path)) == 6
    assert sum("was there" in line for line in said) == 3


def test_other_parts_and_the_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(loop_worker, "ROUND_SECONDS", 0.0)
    monkeypatch.setattr(loop_worker, "LEARNER_ROUNDS", 1)
    rows = bench(tmp_path, [], steps=320, cores=2, parts=[*PARTS[1:]])
    pipeline = [row for row in rows if row["part"] == "pipeline"]
    assert [row["variant"] for row in pipeline] == [
        f"{threads} threads, {how}" for threads in (1, 2) for how in ("in turn", "collecting ahead")
    ]
    updates = [row["updates"] for row in pipeline]
    assert max(updates) - min(updates) <= 2  # as the number of resets among the steps differs
    overhead = [row for row in rows if row["part"] == "overhead"]
    assert [row["library"] for row in overhead[:4]] == ["bare loop", "catzoo", "catzoo", "bare loop"]
    assert len({row["updates"] for row in overhead if row["seed"] == 0}) == 1
    waiting = [(row["seed"], row["library"]) for row in rows if row["part"] == "waiting"]
    sides = ["catzoo spinning", "catzoo"]
    assert waiting == [(seed, side) for seed in range(5) for side in sides[:: -1 if seed % 2 else 1]]
    learner = {(row["variant"], row["threads"]) for row in rows if row["part"] == "learner"}
    assert len(learner) == 8
    sides = {(row["library"], row["loss"]) for row in rows if row["part"] == "share"}
    assert sides == {("catzoo", "huber"), ("catzoo", "hl_gauss"), ("catzoo pqn", "hl_gauss")}
    for side in sides:
        own = [row for row in rows if row["part"] == "share" and (row["library"], row["loss"]) == side]
        spent = {row["variant"]: row["share"] for row in own}
        assert sum(spent.values()) == pytest.approx(1, abs=1e-3)
        assert all(spent[name] > 0 for name in ("environment", "policy", "learner", "Lightning"))
        assert (spent["replay"] > 0) == (side[0] == "catzoo")
    print_table(rows)
    shown = capsys.readouterr().out
    assert "Threads that sleep against threads that spin, 2 cores" in shown
    assert "Lightning against the bare loop" in shown
    assert "channels_last" in shown
    assert "2 threads, collecting ahead" in shown


def test_a_fresh_process_measures_the_same_work():
    (fresh,) = training._in_fresh_process(job())
    (here,) = loop_worker.run(job())
    timing = {"seconds", "steps_per_second", "updates_per_second"}
    assert {key: fresh[key] for key in fresh.keys() - timing} == {
        key: here[key] for key in here.keys() - timing
    }


def test_a_broken_process_is_one_line(monkeypatch):
    monkeypatch.setattr(training.subprocess, "run", _fails)
    with pytest.raises(RecipeError, match="catzoo on CartPole-v1: exit status 1: ValueError: no"):
        training._in_fresh_process(job())


def _fails(*args, **kwargs):
    return subprocess.CompletedProcess(args, 1, stdout="", stderr="Traceback\nValueError: no\n")


@pytest.mark.parametrize("peer", ALL_PEERS)
def test_peers_make_as_many_updates(peer):
    if peer.startswith("sb3"):
        pytest.importorskip("stable_baselines3")
    if peer.startswith("sbx"):
        pytest.importorskip("sbx")
    recipe = bench_recipe(job())
    ours, theirs = loop_worker.side("catzoo")(recipe), loop_worker.side(peer)(recipe)
    steps, updates = burst(recipe)
    assert abs(theirs.steps - recipe.steps) < steps
    assert abs(ours.updates - theirs.updates) <= updates
    assert ours.updates > 2 * updates


def test_peers_have_networks_of_our_size():
    pytest.importorskip("stable_baselines3")
    recipe = bench_recipe(job())

    def size(trained):
        return sum(p.numel() for name, p in trained.policy.named_parameters() if "target" not in name)

    assert len({size(loop_worker.side(library)(recipe)) for library in ("catzoo", "sb3", "torchrl")}) == 1


def test_the_greedy_adapter_is_baselines_own_prediction():
    pytest.importorskip("stable_baselines3")
    from catzoo.zoo.bench.loops.peer_sb3 import make_model

    model, _ = make_model(bench_recipe(job()))
    observation = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    network = model.policy.q_net
    with torch.no_grad():  # or an untrained network prefers one action everywhere
        network.q_net[-1].bias -= network(torch.from_numpy(observation)).mean(dim=0)
    own, _ = model.predict(observation, deterministic=True)
    adapted = Greedy(network)(torch.from_numpy(observation))
    assert len(set(own)) == 2
    np.testing.assert_array_equal(adapted, own)


def test_the_greedy_adapter_is_torchrls_own_action():
    from tensordict import TensorDict

    from catzoo.zoo.bench.loops.peer_torchrl import make_trainer

    trainer, network = make_trainer(bench_recipe(job()))
    observation = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    with trainer.loss_module.value_network_params.to_module(trainer.loss_module.value_network):
        own = trainer.loss_module.value_network(TensorDict({"observation": observation}, [64]))
        np.testing.assert_array_equal(Greedy(network)(observation), own["action"].argmax(-1).numpy())
    trainer.collector.shutdown()


def test_torchrl_evaluates_what_it_trained():
    from catzoo.zoo.bench.loops.peer_torchrl import make_trainer

    trainer, network = make_trainer(bench_recipe(job()))
    before = [p.clone() for p in network.parameters()]
    trainer.train()
    learned = list(trainer.loss_module.value_network_params.values(True, True))
    assert any(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert all(any(torch.equal(p, q) for q in learned) for p in network.parameters())


def test_baselines_sees_the_last_observation_and_the_time_limit():
    pytest.importorskip("stable_baselines3")
    from catzoo.zoo.bench.loops.peer_sb3 import SteppedByBaselines

    def short():
        return gym.make("CartPole-v1", max_episode_steps=3)

    vector = gym.vector.SyncVectorEnv([short, short], autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
    env = SteppedByBaselines(vector, reward_clip=0.5)
    env.seed(0)
    first = env.reset()
    for _ in range(3):
        observation, reward, done, infos = env.step(np.array([0, 1]))
    assert done.all()
    assert reward.tolist() == [0.5, 0.5]
    for i in range(2):
        assert infos[i]["TimeLimit.truncated"]
        assert not np.array_equal(infos[i]["terminal_observation"], observation[i])
        assert not np.array_equal(infos[i]["terminal_observation"], first[i])
    env.close()


def test_what_cannot_be_measured_is_said(tmp_path, monkeypatch):
    said = []
    assert not training._can_run("torchrl", "ALE/Pong-v5", said.append)
    monkeypatch.setattr(training.util, "find_spec", lambda name: None)
    assert not training._can_run("sb3", "CartPole-v1", said.append)
    assert not training._can_run("sbx", "CartPole-v1", said.append)
    assert "torchvision" in said[0]
    assert "pip install 'catzoo[bench]'" in said[1]
    assert "pip install sbx-rl" in said[2]
    with pytest.raises(RecipeError, match=r"unknown peer 'sb4'.*sb3"):
        bench(tmp_path, said, peers=("sb4",))
    with pytest.raises(RecipeError, match="unknown part"):
        bench(tmp_path, said, parts=("everything",))
    (tmp_path / "training-CartPole-v1.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RecipeError, match="not rows of this benchmark"):
        bench(tmp_path, said)


def test_the_summary_pairs_neighbours():
    rows = [
        {
            "part": "speed",
            "env": "X",
            "library": library,
            "loss": "huber",
            "seed": seed,
            "steps": 10,
            "threads": 1,
            "steps_per_second": rate * (1 + seed),  # the machine doubles its speed; the ratio does not
            "updates": 1,
            "mean_return": float(seed),
        }
        for seed in range(3)
        for library, rate in (("sb3", 10.0), ("catzoo", 25.0))
    ]
    ours = next(side for side in summarise(rows) if side["library"] == "catzoo")
    assert (ours["ratio"], ours["ratio_low"], ours["ratio_high"]) == (2.5, 2.5, 2.5)
    assert (ours["return_mean"], ours["steps_per_second"]) == (1.0, 50.0)
    assert ours["return_half_width"] == pytest.approx(4.303 / math.sqrt(3), abs=1e-3)
    assert student_interval([1.0]) == (1.0, math.inf)
