"""The training benchmark: its rows, that it goes on, and that its peers do the same work."""

import csv
import dataclasses
import datetime
import math
import subprocess
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torchrl.envs.utils import ExplorationType, set_exploration_type

from catzoo.hparams import RecipeError
from catzoo.zoo.bench.loops import loop_peers, loop_worker, training
from catzoo.zoo.bench.loops.job import WORK, Greedy, Job, bench_recipe, burst, warm_up
from catzoo.zoo.bench.loops.loop_peers import PEERS, problem_of_peer
from catzoo.zoo.bench.loops.loop_summary import summarise
from catzoo.zoo.bench.loops.training import COLUMNS, OF_ALL, PARTS, bench_training, print_table
from catzoo.zoo.statistics.intervals import student_interval

STEPS = 640
OTHERS = ("sac", "td3", "ppo")
"""Agents beside DQN."""


def job(library="catzoo", agent="dqn", steps=STEPS, loss=None):
    work = WORK[agent]
    return Job("speed", work.env, library, loss or work.loss, 0, steps, agent=agent)


def small_recipe(agent):
    """The work of an agent, with networks and batches that make a test of it."""
    recipe = bench_recipe(job(agent=agent, steps=STEPS if agent == "dqn" else 80))
    if agent == "dqn":
        return recipe
    sizes = {"rollout_length": 8, "epochs": 2} if agent == "ppo" else {}
    network = dataclasses.replace(recipe.network, hidden=(16, 16))
    return dataclasses.replace(recipe, network=network, batch_size=16, **sizes)


def bench(tmp_path, said, **kwargs):
    options = {"steps": STEPS, "seeds": 1, "peers": (), "parts": ("speed",), "episodes": 2}
    return bench_training(out=tmp_path, progress=said.append, isolate=False, **options | kwargs)


def read(tmp_path, whose="CartPole-v1"):
    with (tmp_path / f"training-{whose}.csv").open(newline="") as file:
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
        assert row["command"].startswith("catzoo bench training --agent dqn --env CartPole-v1")
    assert len(read(tmp_path)) == 3

    again = bench(tmp_path, said, seeds=2)
    assert again[:3] == rows, "what was there is read back, not measured again"
    assert [row["seed"] for row in again] == [0, 0, 0, 1, 1, 1]
    assert len(read(tmp_path)) == 6
    assert sum("was there" in line for line in said) == 3


def test_policy_and_value_have_one_rate_as_the_peers_have():
    optimizer = bench_recipe(job(agent="ppo")).optimizer
    assert (optimizer.lr, optimizer.actor_lr) == (1e-3, None)


def test_other_parts_and_the_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(loop_worker, "ROUND_SECONDS", 0.0)
    monkeypatch.setattr(loop_worker, "LEARNER_ROUNDS", 1)
    rows = bench(tmp_path, [], steps=320, cores=2, parts=PARTS[1:])
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
    assert "dqn on CartPole-v1: where the time goes" in shown
    assert "Threads that sleep against threads that spin, 2 cores" in shown
    assert "Lightning against the bare loop" in shown
    assert "channels_last" in shown
    assert "2 threads, collecting ahead" in shown


def test_other_agents_have_rows_and_a_file_of_their_own(tmp_path, capsys):
    said = []
    rows = bench(tmp_path, said, agent="ppo", steps=200, parts=("speed", "share"), peers=("sb3-vec",))
    assert {row["agent"] for row in rows} == {"ppo"}
    speed = [(row["library"], row["loss"]) for row in rows if row["part"] == "speed"]
    assert speed == [("catzoo", "mse"), ("catzoo", "hl_gauss")]
    assert [row["updates"] for row in rows if row["part"] == "speed"] == [20, 20]
    assert {row["loss"] for row in rows if row["part"] == "share"} == {"mse", "hl_gauss"}
    assert len(read(tmp_path, "ppo-CartPole-v1")) == len(rows)
    assert not (tmp_path / "training-CartPole-v1.csv").exists()
    assert said[0].startswith("sb3-vec: left out: ")  # for one of two reasons
    print_table(rows)
    assert "ppo on CartPole-v1: whole training runs" in capsys.readouterr().out


@pytest.mark.parametrize("loss", ["mse", "hl_gauss"])
@pytest.mark.parametrize("agent", OTHERS)
def test_an_agent_does_what_its_peers_can(agent, loss):
    recipe = bench_recipe(job(agent=agent, steps=5_000, loss=loss))
    assert (recipe.agent, recipe.value_loss.name, recipe.support) == (agent, loss, "set")
    assert not recipe.normalize.reward
    assert not recipe.normalize.observation
    assert not recipe.network.layer_norm
    ends = {"sac": (-1_000, 1_000), "td3": (-1_000, 1_000), "ppo": (0, 50)}[agent]
    assert (recipe.value_loss.v_min, recipe.value_loss.v_max) == (
        ends if loss == "hl_gauss" else (None, None)
    )
    if agent != "ppo":  # whatever the zoo's recipe for Pendulum says
        assert (recipe.batch_size, recipe.network.hidden, recipe.learning_starts) == (256, (256, 256), 500)
        assert (recipe.replay.capacity, burst(recipe)) == (5_000, (8, 8))
        assert warm_up(recipe).steps == 256 + 2 * 8


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


@pytest.mark.parametrize(
    ("changed", "fresh"),
    [
        ({}, True),
        ({"cpu": "another"}, False),
        ({"versions": "torch=1"}, False),
        ({"date": "2026-01-01T00:00:00+00:00"}, False),
    ],
)
def test_only_rows_of_today_and_this_machine_stand_beside_new_ones(changed, fresh):
    now = datetime.datetime.now(datetime.UTC).isoformat()
    about = {"versions": "torch=2", "cpu": "one", "date": now}
    assert training._is_fresh({**about, **changed}, about) == fresh


def test_more_cores_than_there_are_is_one_line(tmp_path):
    with pytest.raises(RecipeError, match="cores=4096: this process has"):
        bench(tmp_path, [], steps=320, cores=4096)


def test_what_an_agent_does_not_go_with_is_one_line():
    with pytest.raises(RecipeError, match=r"^CartPole-v1: td3 needs a continuous action space"):
        training._in_fresh_process(dataclasses.replace(job(agent="td3"), env="CartPole-v1"))


def _fails(*args, **kwargs):
    return subprocess.CompletedProcess(args, 1, stdout="", stderr="Traceback\nValueError: no\n")


@pytest.mark.parametrize("agent", WORK)
@pytest.mark.parametrize("peer", PEERS)
def test_peers_make_as_many_updates(peer, agent):
    if peer.startswith("sb3"):
        pytest.importorskip("stable_baselines3")
    if peer.startswith("sbx"):
        pytest.importorskip("sbx")
    if peer.endswith("-vec") and agent == "ppo":
        pytest.skip("there is no such side")
    recipe = small_recipe(agent)
    ours, theirs = loop_worker.side("catzoo")(recipe), loop_worker.side(peer)(recipe)
    steps, updates = burst(recipe)
    assert abs(theirs.steps - recipe.steps) < steps
    assert abs(ours.updates - theirs.updates) <= updates
    assert ours.updates >= 2 * updates
    if agent == "ppo":  # whose libraries count epochs, or one update too many for each
        assert theirs.updates == theirs.steps // steps * updates
    together = agent == "ppo" or peer.endswith("-vec")
    assert theirs.envs.startswith(f"{recipe.num_envs if together else 1} x ")
    observation = torch.zeros(5, 4 if WORK[agent].env == "CartPole-v1" else 3)
    assert theirs.policy(observation).shape == ours.policy.eval()(observation).shape


@pytest.mark.parametrize("agent", WORK)
def test_peers_have_networks_of_our_size(agent):
    pytest.importorskip("stable_baselines3")
    from catzoo.zoo.bench.loops import peer_sb3, peer_torchrl
    from catzoo.zoo.training.build import build_trainer

    recipe = bench_recipe(job(agent=agent))
    work = build_trainer(recipe)
    ours = sum(p.numel() for step in work.agent.steps() for p in step.parameters if p.dim())
    work.close()
    model, _ = peer_sb3.make_model(recipe)
    sb3 = sum(p.numel() for name, p in model.policy.named_parameters() if "target" not in name)
    trainer, _, _ = peer_torchrl.make_trainer(recipe)
    torchrl = sum(p.numel() for p in trainer.loss_module.parameters() if p.dim())
    trainer.collector.shutdown()
    assert ours == sb3 == torchrl


@pytest.mark.parametrize("agent", WORK)
def test_the_greedy_policy_is_baselines_own(agent):
    pytest.importorskip("stable_baselines3")
    from catzoo.zoo.bench.loops.peer_sb3 import greedy, make_model

    model, _ = make_model(bench_recipe(job(agent=agent)))
    observation = torch.randn(64, *model.observation_space.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        if agent == "dqn":
            own = model.q_net(observation).argmax(-1)
        elif agent == "ppo":
            own = model.policy.get_distribution(observation).mode()
        else:
            own = model.actor(observation, **({"deterministic": True} if agent == "sac" else {}))  # within ±1
    np.testing.assert_allclose(greedy(model)(observation), own.numpy(), atol=1e-6)


@pytest.mark.parametrize("agent", WORK)
def test_torchrl_plays_and_evaluates_what_it_trains(agent):
    from catzoo.zoo.bench.loops.peer_torchrl import make_trainer

    trainer, policy, _ = make_trainer(small_recipe(agent))
    inputs = 4 if WORK[agent].env == "CartPole-v1" else 3
    observation = torch.randn(64, inputs, generator=torch.Generator().manual_seed(0))
    loss, part = trainer.loss_module, "value_network" if agent == "dqn" else "actor_network"
    params, module = getattr(loss, f"{part}_params"), getattr(loss, part)
    begun = {key: p.detach().clone() for key, p in params.items(True, True)}
    trainer.train()
    assert any(not torch.equal(begun[key], p) for key, p in params.items(True, True))
    played = [*trainer.collector.policy.parameters(), *trainer.collector.policy.buffers()]
    assert all(any(torch.equal(p, q) for q in played) for p in params.values(True, True))
    with params.to_module(module), torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        own = module(TensorDict({"observation": observation}, [64]))["action"]
    if agent == "dqn":
        own = own.argmax(-1)
    scale = 2 if agent in ("sac", "td3") else 1  # Pendulum's own actions are within ±2
    np.testing.assert_allclose(policy(observation) * scale, own.numpy(), atol=1e-5)


def test_torchrl_sees_observations_of_float32(monkeypatch):
    from catzoo.zoo.bench.loops.torchrl_parts import make_torchrl_env

    def double():
        return gym.wrappers.DtypeObservation(gym.make("Pendulum-v1"), np.float64)

    spec = gym.envs.registration.EnvSpec("DoublePendulum-v1", entry_point=double)
    monkeypatch.setitem(gym.registry, spec.id, spec)
    recipe = SimpleNamespace(agent="sac", env=spec.id, env_options={}, seed=0)
    env, _ = make_torchrl_env(recipe)
    assert env.reset()["observation"].dtype == torch.float32
    env.close()


def test_greedy_actions_are_in_the_units_of_the_zoo():
    bounds = np.array([-2.0, 0.0]), np.array([2.0, 10.0])
    policy = Greedy(lambda observation: np.array([[-2.0, 10.0], [1.0, 5.0]]), bounds)
    action = policy(torch.zeros(2, 1))
    np.testing.assert_allclose(action, [[-1.0, 1.0], [0.5, 0.0]])
    assert action.dtype == np.float32


def test_baselines_anneals_as_the_recipe():
    pytest.importorskip("stable_baselines3")
    from catzoo.zoo.bench.loops.peer_sb3 import make_model

    model, _ = make_model(bench_recipe(job(agent="ppo")))
    assert model.lr_schedule(0.25) == pytest.approx(0.25 * 1e-3)
    assert (model.n_steps, model.n_epochs, model.batch_size, model.n_envs) == (32, 20, 256, 8)
    assert (model.gae_lambda, model.gamma, model.max_grad_norm) == (0.8, 0.98, 0.5)


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
    monkeypatch.setattr(loop_peers.util, "find_spec", lambda name: name)
    assert "torchvision" in problem_of_peer("torchrl", "dqn", "ALE/Pong-v5")
    assert "no network like ours" in problem_of_peer("sb3", "ppo", "ALE/Pong-v5")
    assert "as many environments" in problem_of_peer("sbx-vec", "ppo", "CartPole-v1")
    assert problem_of_peer("sb3-vec", "sac", "Pendulum-v1") is None
    monkeypatch.setattr(loop_peers.util, "find_spec", lambda name: None)
    assert "pip install 'catzoo[bench]'" in problem_of_peer("sb3-vec", "dqn", "CartPole-v1")
    assert "pip install sbx-rl" in problem_of_peer("sbx", "dqn", "CartPole-v1")
    with pytest.raises(RecipeError, match=r"unknown agent 'impala'.*ppo"):
        bench(tmp_path, said, agent="impala")
    for part in set(PARTS) - set(OF_ALL):
        with pytest.raises(
            RecipeError, match=f"the part {part} is of dqn alone; sac has speed, overhead, share"
        ):
            bench(tmp_path, said, agent="sac", parts=("speed", part))
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
            "agent": "dqn",
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
