"""The zoo's own trained agents: what is published, found and loaded by name."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from catzoo.agents.networks.board_transformer import flat
from catzoo.hparams import RecipeError
from catzoo.zoo.catalogue import pretrained as room
from catzoo.zoo.catalogue.pretrained import find_run, pretrained
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.training.evaluate import evaluate
from catzoo.zoo.training.publish import publish
from catzoo.zoo.training.train import train
from catzoo.zoo.training.weights import load_agent
from positions_for_tests import random_positions, written_positions
from runs_for_tests import made

TINY = ["num_envs=4", "rollout_length=4", "batch_size=8", "network.hidden=[16]", "replay.capacity=300",
        "learning_starts=60", "eval.episodes=3", "target_update_every=1000"]  # fmt: skip
NAME = "dqn-CartPole-v1-hl_gauss"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained") / "run"
    train("dqn", "CartPole-v1", loss="hl_gauss", steps=300, seed=3, run_dir=folder, overrides=TINY)
    return Run(folder)


@pytest.fixture
def zoo(run, tmp_path, monkeypatch):
    """A zoo that has taken the run in."""
    monkeypatch.setattr(room, "PRETRAINED", tmp_path / "zoo")
    monkeypatch.setattr("catzoo.zoo.training.publish.PRETRAINED", tmp_path / "zoo")
    assert publish([run.path]) == [NAME]
    return tmp_path / "zoo"


def test_it_is_the_run_without_what_only_training_needs(run, zoo):
    published = Run(zoo / NAME)
    assert {path.name for path in published.path.iterdir()} == {
        "recipe.yaml", "weights.safetensors", "result.json",
    }  # fmt: skip
    assert published.recipe() == run.recipe()
    assert published.result() == {k: v for k, v in run.result().items() if k != "run_dir"}
    theirs, ours = load_file(run.weights), load_file(published.weights)
    assert any(name.startswith("target.") for name in theirs)
    assert ours.keys() == {name for name in theirs if not name.startswith("target.")}
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_by_its_name_it_scores_what_the_run_did(run, zoo):
    assert evaluate(NAME)["returns"] == run.result()["returns"]
    _, agent = load_agent(NAME)
    state = agent.state_dict()
    names = [name for name in state if name.startswith("target.")]
    assert names
    for name in names:
        assert torch.equal(state[name], state["network." + name.removeprefix("target.")])


def test_a_folder_goes_before_a_name(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_run(NAME) == zoo / NAME
    (tmp_path / NAME).mkdir()
    assert find_run(NAME) == Path(NAME)
    with pytest.raises(RecipeError, match=r"some/where: no such folder, and none of .* catzoo list$"):
        find_run("some/where")
    with pytest.raises(RecipeError, match=f"did you mean {NAME}"):
        find_run(f"{NAME}x")


def test_another_run_of_the_same_takes_its_place(run, zoo):
    (zoo / NAME / "result.json").write_text("{}")
    publish([run.path])
    assert Run(zoo / NAME).result()["returns"] == run.result()["returns"]
    assert list(pretrained()) == [NAME]


def test_what_is_not_finished_is_refused(tmp_path):
    made(tmp_path / "run", [])
    with pytest.raises(RecipeError, match="not finished"):
        publish([tmp_path / "run"])


@pytest.mark.parametrize("change", ["drop", "add", "reshape"])
def test_weights_that_do_not_fit_are_refused(run, zoo, tmp_path, change):
    tensors = load_file(zoo / NAME / "weights.safetensors")
    name = next(name for name in tensors if name.startswith("network."))
    if change == "drop":
        del tensors[name]
    elif change == "add":
        tensors["target." + name.removeprefix("network.")] = tensors[name].clone()
    else:
        tensors[name] = torch.zeros(1, 1)
    broken = Run(tmp_path / "broken")
    broken.path.mkdir()
    broken.recipe_file.write_bytes(run.recipe_file.read_bytes())
    save_file(tensors, broken.weights)
    with pytest.raises(RecipeError, match="does not fit"):
        load_agent(broken.path)


def test_the_zoos_own():
    assert pretrained()
    sizes = [path.stat().st_size for path in room.PRETRAINED.rglob("*") if path.is_file()]
    assert sum(sizes) < 13e6
    for name, folder in pretrained().items():
        recipe = Run(folder).recipe()
        extras = {"dmc/": "dm_control", "HalfCheetah": "mujoco", "Hopper": "mujoco"}
        extra = next((package for start, package in extras.items() if recipe.env.startswith(start)), None)
        if extra is None or find_spec(extra):
            load_agent(name)
        assert name.startswith(f"{recipe.agent}-")
        assert getattr(recipe, "dataset", None) is None  # it lay where it was made
        assert Run(folder).result()["steps"] == recipe.steps


def test_of_chess_what_is_published_plays_as_the_run_did(tmp_path, monkeypatch):
    pytest.importorskip("chess")
    written_positions(tmp_path / "data", 40)
    tiny = ["batch_size=4", "network.size=16", "network.num_layers=1", "eval.episodes=1", "average=0.5",
            f"dataset={tmp_path / 'data'}", "env_options.max_plies=6"]  # fmt: skip
    run = train("chess", "chess/random", loss="mse", steps=3, run_dir=tmp_path / "run", overrides=tiny)
    monkeypatch.setattr(room, "PRETRAINED", tmp_path / "zoo")
    monkeypatch.setattr("catzoo.zoo.training.publish.PRETRAINED", tmp_path / "zoo")
    (name,) = publish([run["run_dir"]])
    board, move = (
        random_positions(5)["board"],
        torch.tensor([[[8, 16, 0], [9, 17, 0]]] * 5, dtype=torch.uint8),
    )
    ours, theirs = (load_agent(agent)[1].ranking(flat(board, move)) for agent in (name, run["run_dir"]))
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    assert not any(
        key.startswith("network.") for key in load_file(tmp_path / "zoo" / name / "weights.safetensors")
    )


def test_every_network_that_only_follows_is_left_out_and_found_again(tmp_path, monkeypatch):
    tiny = ["batch_size=8", "network.hidden=[16]", "replay.capacity=300", "learning_starts=60",
            "eval.episodes=2", "value_loss.num_bins=11"]  # fmt: skip
    run = train("td3", "Pendulum-v1", loss="hl_gauss", steps=120, run_dir=tmp_path / "run", overrides=tiny)
    monkeypatch.setattr(room, "PRETRAINED", tmp_path / "zoo")
    monkeypatch.setattr("catzoo.zoo.training.publish.PRETRAINED", tmp_path / "zoo")
    (name,) = publish([tmp_path / "run"])
    names = load_file(Run(tmp_path / "zoo" / name).weights)
    assert not any(one.startswith("target") for one in names)
    assert evaluate(name)["returns"] == run["returns"]
    _, agent = load_agent(name)
    for target, source in ((agent.target, agent.network.critic), (agent.target_actor, agent.network.actor)):
        for one, other in zip(target.parameters(), source.parameters(), strict=True):
            assert torch.equal(one, other)
