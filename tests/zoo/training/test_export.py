"""Exported policies: what a file computes is what the agent does, and the file says what that is."""

import json

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from gymnasium.vector import VectorEnv

from catzoo.agents import AGENTS
from catzoo.hparams import RecipeError
from catzoo.zoo.catalogue.pretrained import find_run
from catzoo.zoo.cli.main import main
from catzoo.zoo.environments.unit_actions import UnitActions
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.training import export as room
from catzoo.zoo.training.build import build_agent, build_env
from catzoo.zoo.training.export import export, observations_of_play
from catzoo.zoo.training.greedy_policy import GreedyPolicy, OwnActions
from catzoo.zoo.training.weights import load_agent, save_weights
from runs_for_tests import made

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
CARTPOLE, BREAKOUT = "dqn-CartPole-v1-hl_gauss", "dqn-MinAtar-Breakout-v1-c51"
PENDULUM = "td3-Pendulum-v1-hl_gauss"
KINDS = {
    "rainbow": ("MinAtar/Breakout", "c51", {}),
    "pqn": ("MinAtar/Breakout", "quantile", {}),
    "sac": ("Pendulum-v1", "hl_gauss", {"network": {"hidden": [8]}, "normalize": {"observation": True}}),
    "ppo": ("Pendulum-v1", "softmax_mse", {"network": {"hidden": [8]}}),
    "impala": ("CartPole-v1", "hl_gauss", {"network": {"hidden": [8]}}),
    "q_transformer": ("Pendulum-v1", "hl_gauss", {"network": {"size": 8}, "bins": 4}),
    "wordle": ("wordle/40", "mse", {"network": {"size": 8, "num_layers": 1}}),
    "chess": ("chess/random", "hl_gauss", {"network": {"name": "transformer", "size": 8, "num_layers": 1}}),
    "chess, after_states": ("chess/random", "hl_gauss", {"network": {"name": "after_states", "size": 8}}),
}
"""Of agents of every network, beside those: where, the loss, and what makes it small."""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """An agent of the zoo as a file of some form, each written once."""
    folder, files = tmp_path_factory.mktemp("files"), {}

    def file(name, form="onnx"):
        if (name, form) not in files:
            out = folder / (name + room.FORMS[form].suffix)
            assert export(name, out, form=form)["out"] == str(out)
            files[name, form] = out
        return files[name, form]

    return file


def played(name, count=1_000):
    """What an agent sees in its environment, what it does there, and its values in the rewards' units."""
    recipe, agent = load_agent(name)
    env = build_env(recipe, 4)
    seen = observations_of_play(agent, env, count, seed=1)
    action = agent.act(torch.as_tensor(seen)).numpy()
    env.close()
    values = agent.value_loss.decode(agent.appraise(torch.as_tensor(seen))[0]).numpy()
    if agent.return_scale is not None:
        values *= agent.return_scale().item()
    return seen, env.actions(action) if isinstance(env, UnitActions) else action, values


def run_onnx(path, seen):
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"observation": seen}), strict=True))


@pytest.mark.parametrize(
    ("name", "form"),
    [(CARTPOLE, "onnx"), (CARTPOLE, "torch-export"), (BREAKOUT, "onnx"), (PENDULUM, "onnx")],
)
def test_a_thousand_observations(file, name, form):
    if name == BREAKOUT:
        pytest.importorskip("minatar")
    seen, action, values = played(name)
    if form == "onnx":
        found = run_onnx(file(name, form), seen)
    else:
        found = torch.export.load(file(name, form)).module()(torch.as_tensor(seen))
        assert not any(tensor.requires_grad for tensor in found.values())
        found = {key: tensor.numpy() for key, tensor in found.items()}
    assert found["action"].dtype == action.dtype
    if action.dtype == np.int64:
        assert (found["action"] != action).sum() <= 1  # of two values that are level
    else:
        assert np.abs(action).max() > 1.5  # torque is within ±2
        np.testing.assert_allclose(found["action"], action, atol=1e-4)
    np.testing.assert_allclose(found["values"], values, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["probabilities"].sum(-1), 1, atol=1e-5)


def test_an_onnx_file_says_what_it_is(file):
    session = onnxruntime.InferenceSession(file(CARTPOLE))
    (read,), outputs = session.get_inputs(), session.get_outputs()
    assert (read.name, read.shape, read.type) == ("observation", ["batch", 4], "tensor(float)")
    assert [(output.name, output.shape) for output in outputs] == [
        ("action", ["batch"]),
        ("values", ["batch", 2]),
        ("probabilities", ["batch", 2, 51]),
    ]
    said, result = session.get_modelmeta().custom_metadata_map, Run(find_run(CARTPOLE)).result()
    assert (said["agent"], said["env"], said["loss"]) == ("dqn", "CartPole-v1", "hl_gauss")
    assert json.loads(said["protocol"]) == result["protocol"]
    assert (int(said["steps"]), float(said["mean_return"])) == (result["steps"], result["mean_return"])
    assert said["catzoo"]
    assert json.loads(said["outputs"])["action"] == "the greedy action, from 0 to 1"
    assert "under the protocol classic-control" in said["input"]


def test_so_does_a_torch_file_and_for_any_batch(file):
    files = {room.CARD: ""}
    program = torch.export.load(file(PENDULUM, "torch-export"), extra_files=files)
    card = json.loads(files[room.CARD])
    assert (card["agent"], card["protocol"]["name"]) == ("td3", "classic-control")
    assert card["outputs"].keys() == {"action", "values", "probabilities"}
    assert card["outputs"]["action"].endswith("own units: [-2.0] to [2.0]")
    assert len(card["bin_centers"]) == 101
    assert not any("target" in name for name in program.state_dict)  # what only learning needs
    for batch in (1, 3):
        assert program.module()(torch.zeros(batch, 3))["action"].shape == (batch, 1)


def test_no_network_is_left_out():
    known = {AGENTS[kind.partition(",")[0]].network_class for kind in (*KINDS, "dqn", "td3")}
    assert known == {agent.network_class for agent in AGENTS.values()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_agent(kind, tmp_path, monkeypatch):
    (env, loss, changes), (agent, _, network) = KINDS[kind], kind.partition(", ")
    pytest.importorskip({"MinAtar": "minatar", "chess": "chess"}.get(env.partition("/")[0], "torch"))
    monkeypatch.setattr(room, "OBSERVATIONS", 24)
    run = made(tmp_path / "run", [], env, loss, agent=agent, **changes)
    vector = build_env(run.recipe(), 1)
    save_weights(run, build_agent(run.recipe(), vector), 7)
    vector.close()
    form = "onnx" if network else "torch-export"  # bitboards are shifted, which not every operator set can
    done = export(run.path, tmp_path / f"it{room.FORMS[form].suffix}", form=form)
    assert done["observations"] == 24
    assert done["same_actions"] == 24 or done["actions_apart"] < 1e-5
    assert done["values_apart"] < 1e-4
    assert ("action_probabilities" in done["outputs"]) == (agent == "impala")


def test_own_actions_are_those_of_the_environment():
    env = VectorEnv()
    env.num_envs = 1
    for dtype in (np.float32, np.float64):
        env.single_action_space = Box(np.array([-2.5, 0.1], dtype), np.array([2.5, 7.3], dtype), dtype=dtype)
        env.action_space = env.single_action_space
        unit = UnitActions(env)
        action = np.random.default_rng(0).uniform(-1.2, 1.2, (100, 2)).astype(np.float32)
        own = OwnActions(unit)(torch.from_numpy(action)).numpy()
        assert own.dtype == dtype
        np.testing.assert_array_equal(own, unit.actions(action))


def test_an_operator_that_onnx_has_not_is_named(tmp_path, monkeypatch):
    forward = GreedyPolicy.forward

    def odd(self, observation):
        found = forward(self, observation)
        return {**found, "values": torch.special.bessel_j0(found["values"])}

    monkeypatch.setattr(GreedyPolicy, "forward", odd)
    with pytest.raises(RecipeError, match=r"ONNX has no operator for prims.bessel_j0, .* --torch-export has"):
        export(CARTPOLE, tmp_path / "it.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_the_agent_is_not_kept(tmp_path, monkeypatch):
    forward = GreedyPolicy.forward

    def wrong(self, observation):
        return {**forward(self, observation), "values": observation[:, :2]}

    monkeypatch.setattr(GreedyPolicy, "forward", wrong)
    with pytest.raises(RecipeError, match=r"not written: its values are not the agent's"):
        export(CARTPOLE, tmp_path / "it.pt2", form="torch-export")
    assert list(tmp_path.iterdir()) == []


def failing(capsys, *words):
    try:
        status = main(["export", *words])
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_mistakes_are_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made(tmp_path / "run", [])
    for words, line in (
        ([CARTPOLE], "Add --onnx or --torch-export"),
        ([CARTPOLE, "--onnx", "--torch-export"], "not allowed with"),
        ([CARTPOLE, PENDULUM, "--onnx"], "one RUN at a time"),
        ([f"{CARTPOLE}x", "--onnx"], f"did you mean {CARTPOLE}"),
        ([CARTPOLE, "--onnx", "--out", "it.pt2"], "it.pt2: onnx makes .onnx files"),
        (["run", "--torch-export"], "run: no weights.safetensors yet"),
        (["losses"], "as in catzoo export losses hl_gauss"),
        (["losses", "hl_gauss", "--onnx"], "of these options a loss takes --out alone"),
    ):
        assert line in failing(capsys, *words), words
    monkeypatch.setattr(room, "find_spec", lambda name: None if name.startswith("onnx") else name)
    assert "pip install 'catzoo[onnx]'" in failing(capsys, CARTPOLE, "--onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_command_writes_beside_it_and_says_how_near_it_is(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "--torch-export", CARTPOLE]) == 0
    said = capsys.readouterr().out
    assert said.startswith(
        f"{CARTPOLE}.pt2: observation float32 [batch, 4] to action, values, probabilities;"
    )
    assert "256 of 256 actions the same, values within " in said
    assert [path.name for path in tmp_path.iterdir()] == [f"{CARTPOLE}.pt2"]
