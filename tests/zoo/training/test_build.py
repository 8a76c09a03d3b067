"""From a recipe to live objects: every agent of the zoo, and what does not fit is refused in one line."""

import dataclasses
import itertools
import re
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import psutil
import pytest
import torch

from catzoo.agents import PQN, Agent, DatasetFeed, QNetwork, ReplayFeed, VectorCollector
from catzoo.agents.networks import is_noisy
from catzoo.agents.registry import AGENTS
from catzoo.hparams import RECIPES, RecipeError, parse_override
from catzoo.zoo.catalogue.recipe_files import agents, find_recipe
from catzoo.zoo.datasets.wordle_games import make_wordle_games
from catzoo.zoo.system import machine
from catzoo.zoo.training import build
from catzoo.zoo.training.build import build_env, build_trainer, build_training_env
from catzoo.zoo.training.compute import resolve_compute
from catzoo.zoo.training.evaluate import evaluate_trained
from catzoo.zoo.training.memory_checks import check_replay
from catzoo.zoo.training.train import train
from datasets_for_tests import swings
from environments_for_tests import Left
from positions_for_tests import written_positions

pytestmark = pytest.mark.early


def recipe(agent, env="CartPole-v1", *overrides, **options):
    said = [parse_override(text) for text in (*overrides, "compute.device=cpu")]
    return find_recipe(agent, env, overrides=said, **options)


def test_every_recipe_has_an_agent():
    assert set(agents()) == set(AGENTS) == set(RECIPES)


def test_every_agent_is_a_page_with_one_ancestor():
    assert all(kind.__bases__ == (Agent,) for kind in AGENTS.values())


@pytest.mark.parametrize("agent", AGENTS)
def test_every_agent_iterates(agent, tmp_path):
    replays = issubclass(AGENTS[agent].feed, ReplayFeed)
    own, enough = ["learning_starts=100"] * replays, 600
    env = "CartPole-v1" if AGENTS[agent].actions is gym.spaces.Discrete else "Pendulum-v1"
    if agent == "cql":
        source = build_trainer(recipe("dqn", "CartPole-v1", "record=1.0"), dataset=tmp_path / "dataset")
        source.iterate()
        source.feed.recorder.publish()
        source.close()
    if agent == "wordle":
        env, enough = "wordle/40", 2
        make_wordle_games(env, tmp_path, games=20)
    if agent == "chess":
        pytest.importorskip("chess")
        env, enough = "chess/random", 2
        written_positions(tmp_path, 20)
    if issubclass(AGENTS[agent].feed, DatasetFeed):
        own = [f"dataset={tmp_path}"]
    if agent == "q_transformer":
        swings(tmp_path)
        enough = 2
    made = build_trainer(recipe(agent, env, "steps=2000", *own))
    while made.steps < enough:
        made.iterate()
    assert made.updates > 0
    made.close()


@pytest.mark.parametrize(
    ("agent", "env", "line"),
    [
        (
            "sac",
            "CartPole-v1",
            r"sac needs a continuous .*, but it has Discrete\(2\); for that there is "
            "dqn, rainbow, pqn, cql, ppo, impala",
        ),
        (
            "dqn",
            "Pendulum-v1",
            r"dqn needs a discrete .*, but it has Box\(.*\); for that there is "
            "sac, td3, ppo, impala",
        ),
        ("cql", "Pendulum-v1", r"cql needs a discrete .*, but it has Box\(.*\); for that there is sac, .*"),
        ("wordle", "CartPole-v1", "wordle needs an environment with words, such as wordle/200"),
        ("chess", "CartPole-v1", r"chess needs an environment of chess, such as chess/random, .*"),
    ],
)
def test_an_environment_that_an_agent_does_not_go_with(agent, env, line):
    with pytest.raises(RecipeError, match=rf"^{env}: {line}$"):
        build_trainer(recipe(agent, env))


@pytest.mark.parametrize(
    ("agent", "env", "source"),
    [
        ("cql", "CartPole-v1", "a run that was trained with record=0.1"),
        ("q_transformer", "Pendulum-v1", "`catzoo data robots`"),
        ("wordle", "wordle/40", "`catzoo data wordle`"),
    ],
)
def test_where_an_agents_datasets_come_from(agent, env, source):
    with pytest.raises(RecipeError, match=f"^{agent} learns from a dataset: .*{source}"):
        build_trainer(recipe(agent, env))


def test_rainbow_is_what_its_name_says():
    made = build_trainer(recipe("rainbow"))
    network, replay = made.agent.network, made.feed.replay
    assert made.recipe.double
    assert replay.prioritized
    assert replay.n_step.n == 3
    assert is_noisy(network)
    assert isinstance(network, QNetwork)
    assert type(network.head).__name__ == "DuelingHead"
    made.close()


def test_pqn_has_layer_norm_and_neither_replay_nor_target():
    made = build_trainer(recipe("pqn"))
    assert isinstance(made.agent, PQN)
    assert not isinstance(made.feed, ReplayFeed)
    assert any(isinstance(module, torch.nn.LayerNorm) for module in made.agent.network.modules())
    assert not hasattr(made.agent, "target")
    made.close()


@pytest.mark.parametrize(
    "overrides",
    [
        ("network.name=impala", "network.experts=2"),
        ("network.name=resnet18", "network.width=0.25"),
        ("network.name=transformer",),
        ("network.layer_norm=true", "noisy=true"),
    ],
)
def test_every_network_plays_atari(overrides):
    asked = recipe("dqn", "ALE/Pong-v5", *overrides)
    env = build_env(asked, 2)
    made = build.build_agent(asked, env)
    observation, _ = env.reset(seed=0)
    assert made.act(torch.from_numpy(observation)).shape == (2,)
    env.close()


def test_networks_that_do_not_fit_are_one_line():
    with pytest.raises(RecipeError, match=r"^CartPole-v1: network.experts=2 does not fit network.name=mlp"):
        build_trainer(recipe("dqn", "CartPole-v1", "network.experts=2"))


def test_data_efficient_options_work_together():
    asked = recipe(
        "rainbow", "ALE/Pong-v5", "learning_starts=64", "batch_size=4", "replay.capacity=500",
        "network.width=0.125", "updates_per_step=1", preset="atari-100k-resets",
    )  # fmt: skip
    asked = dataclasses.replace(asked, reset_every=16, target_update_every=4)
    made = build_trainer(asked)
    while made.updates < 40:
        made.iterate()
    assert {int(step) for step in made.learner.optimizers[0].steps} == {made.updates % 16}
    assert made.recipe.random_shift == 4
    made.close()


def test_a_replay_that_does_not_fit_says_how_much_would(monkeypatch):
    monkeypatch.setattr("catzoo.zoo.training.memory_checks.usable_memory", lambda: 10**9)
    asked = recipe("dqn", "ALE/Pong-v5", "replay.store=whole", "replay.capacity=200000")
    with pytest.raises(RecipeError) as error:
        build_trainer(asked)
    text = str(error.value)
    assert re.match(r"replay.capacity=200000 needs 11.3 GB and 1.0 GB are free for it in memory", text)
    fits = int(re.search(r"at most (\d+) transitions fit; replay.store=frames", text)[1])
    assert 15_000 < fits < 20_000
    smaller = recipe("dqn", "ALE/Pong-v5", "replay.store=whole", f"replay.capacity={fits}")
    env = build_env(smaller, 1)
    check_replay(smaller, env, torch.device("cpu"))
    env.close()


def test_a_replay_on_disk_is_checked_against_the_disk(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 10**6})
    monkeypatch.setattr("catzoo.zoo.training.memory_checks.shutil.disk_usage", lambda path: usage)
    with pytest.raises(RecipeError, match=r"0\.0 GB are free on the disk of"):
        build_trainer(recipe("dqn", "CartPole-v1", "replay.place=disk"), tmp_path / "run" / "replay")
    assert not any(tmp_path.iterdir())


def test_a_lost_life_ends_an_episode_in_training_and_the_game_goes_on():
    asked = recipe("dqn", "ALE/Breakout-v5", preset="atari-100k")
    assert asked.life_loss_ends
    one, ends = dataclasses.replace(asked, num_envs=1), {}
    for training in (True, False):
        env = build_training_env(one) if training else build_env(one, 1)
        collector = VectorCollector(env, Fire(), frames_per_batch=50, seed=1)
        steps = [collector.rollout() for _ in range(12)]
        rollout = torch.cat(steps, dim=1)
        ended = rollout["next", "terminated"][0, :, 0].nonzero()[:, 0].tolist()
        ends[training] = (ended, [episode.length for episode in collector.take_finished()])
        for t in ended:  # what follows a step is the environment's own, garbage nowhere
            final = rollout["next", "observation"][0, t]
            assert torch.equal(final[:3], rollout["observation"][0, t][1:])
        collector.shutdown()
    lives, games = ends[True]
    assert len(lives) >= 4 * len(games) > 0
    assert games == ends[False][1]  # the same games, whatever ends the episodes
    assert [length - 1 for length in itertools.accumulate(games)] == ends[False][0] == lives[4::5]


class Fire(Left):
    """Serves and does not move: five lives are soon lost."""

    def forward(self, observation):
        return np.ones(len(observation), np.int64)


def test_no_lives_no_loss_of_them():
    with pytest.raises(RecipeError, match="life_loss_ends=true: CartPole-v1 has no lives"):
        build_training_env(recipe("dqn", "CartPole-v1", "life_loss_ends=true"))


@pytest.mark.parametrize(
    ("agent", "env", "overrides", "words"),
    [
        (
            "dqn",
            "CartPole-v1",
            ["replay.store=frames"],
            "replay.store=frames needs stacks of uint8 frames, such as [4, 84, 84]; CartPole-v1 has [4]",
        ),
        ("dqn", "CartPole-v1", ["random_shift=1"], "random_shift=1 needs images with their channels first"),
        ("dqn", "MinAtar/Breakout", ["random_shift=1"], "MinAtar/Breakout has [10, 10, 4]"),
        ("dqn", "CartPole-v1", ["replay.capacity=10"], "replay.capacity=10 must be at least batch_size=128"),
    ],
)
def test_what_does_not_fit_together_is_one_line(agent, env, overrides, words):
    with pytest.raises(RecipeError, match=re.escape(words)) as error:
        build_trainer(recipe(agent, env, *overrides))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("shape", "fits"), [((4, 36, 36), True), ((36, 36, 3), False), ((36, 40, 1), False)])
def test_pictures_in_colour_are_no_stacks(shape, fits):
    space = gym.spaces.Box(0, 255, shape, np.uint8)
    env = SimpleNamespace(single_observation_space=space, single_action_space=gym.spaces.Discrete(2))
    asked = recipe("dqn", "CartPole-v1", "replay.store=frames")
    if fits:
        check_replay(asked, env, torch.device("cpu"))
    else:
        with pytest.raises(RecipeError, match=r"has \[36, .* of uint8: use replay.store=whole"):
            check_replay(asked, env, torch.device("cpu"))


def test_a_replay_on_disk_may_write_over_its_own_files(tmp_path, monkeypatch):
    (tmp_path / "replay").mkdir()
    (tmp_path / "replay" / "frames.uint8").write_bytes(bytes(20_000_000))
    usage = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr("catzoo.zoo.training.memory_checks.shutil.disk_usage", lambda path: usage)
    asked = recipe("dqn", "CartPole-v1", "replay.place=disk")
    env = build_env(asked, 1)
    check_replay(asked, env, torch.device("cpu"), tmp_path / "replay")  # 100,000 transitions of 48 bytes
    env.close()


def test_episodes_of_a_deterministic_game_differ():
    asked = recipe("dqn", "ALE/Breakout-v5", "eval.epsilon=0.2", preset="atari-100k")
    env = build_env(asked, 1)
    made = build.build_agent(asked, env)
    env.close()
    asked = dataclasses.replace(asked, env_options={**asked.env_options, "max_num_frames_per_episode": 800})
    scores = evaluate_trained(made, asked, 8)
    assert len(set(scores)) > 1
    assert scores == evaluate_trained(made, asked, 8)
    greedy = dataclasses.replace(asked, eval=dataclasses.replace(asked.eval, epsilon=0.0))
    assert len(set(evaluate_trained(made, greedy, 3))) == 1


def test_a_batch_larger_than_a_rollout_is_one_line():
    with pytest.raises(RecipeError, match="CartPole-v1: batch_size=1000 is more than the 512 steps"):
        build_trainer(recipe("pqn", "CartPole-v1", "batch_size=1000"))


def test_overlap_follows_the_machine_where_the_recipe_leaves_it_open(monkeypatch):
    asked = recipe("dqn", "CartPole-v1", "compute.overlap=null")
    for cores, expected in ((1, False), (2, True)):
        monkeypatch.setattr("catzoo.zoo.training.compute.usable_cores", lambda cores=cores: cores)
        assert resolve_compute(asked).overlap is expected
        every_core = recipe("dqn", "CartPole-v1", "compute.overlap=null", "compute.threads=0")
        assert not resolve_compute(every_core).overlap
    assert not resolve_compute(recipe("dqn", "CartPole-v1", "compute.overlap=false")).overlap


@pytest.mark.parametrize("has", [False, True])
def test_auto_precision_is_bf16_where_the_processor_has_it(monkeypatch, has):
    monkeypatch.setattr("catzoo.zoo.training.compute.has_bf16", lambda: has)
    compute = resolve_compute(recipe("dqn", "CartPole-v1", "compute.precision=auto"))
    assert compute.precision == ("bf16" if has else "fp32")
    made = build_trainer(recipe("dqn"), compute=compute)
    assert isinstance(made.learner.autocast, torch.autocast) is has
    made.close()


def test_a_gpu_without_memory_is_one_line(tmp_path, monkeypatch):
    def out_of_memory(*args, **keywords):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore lines")

    monkeypatch.setattr(build, "build_trainer", out_of_memory)
    with pytest.raises(RecipeError, match=r"^the GPU is out of memory: lower batch_size, .*$"):
        train("dqn", "CartPole-v1", run_dir=tmp_path / "run")


def test_runs_that_share_a_machine_share_its_memory_and_cores(monkeypatch):
    alone = machine.usable_memory()
    assert 0 < alone < psutil.virtual_memory().total
    monkeypatch.setenv(machine.WORKERS, "4")
    assert machine.usable_memory() < alone
    monkeypatch.delenv(machine.WORKERS)
    monkeypatch.setattr(machine, "_container_limit", lambda: 3 * machine.PROCESS)
    assert machine.usable_memory() <= 2 * machine.PROCESS
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert machine.usable_cores() == 1
