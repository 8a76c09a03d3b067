"""Notebooks run from the first cell to the last, with smaller parameters, and are committed as they ran."""

import base64
import inspect
import json
import math
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml

from catzoo.losses import HLGauss
from catzoo.losses.single_file import source_of
from catzoo.zoo.training.torch_state import own_torch

pytest.importorskip("IPython")

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
}
MACHINE = re.compile(r"/(home|root|tmp|work|Users|opt|usr|mnt|var|private)/|\b[A-Z]:\\|site-packages")
SMALL_STUDY = {"num_envs": 4, "learning_starts": 100, "eval.episodes": 2, "network.hidden": [8]}


def code(name):
    return [cell for cell in NOTEBOOKS[name]["cells"] if cell["cell_type"] == "code"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a notebook's cells in a folder of their own, with other parameters; returns their names.

    With a tag those that have it, and otherwise those without one.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")

    def run(name, tag=None, **parameters):
        names = {"__name__": name}
        with own_torch():
            for number, cell in enumerate(code(name)):
                if number and tag not in cell["metadata"].get("tags", [None]):
                    continue
                exec(compile("".join(cell["source"]), f"{name}, cell {number}", "exec"), names)
                if number == 0:
                    assert parameters.keys() <= names.keys()
                    names.update(parameters)
        return names

    yield run
    import matplotlib.pyplot as plt

    plt.close("all")


def test_first_agent(run):
    found = run("first_agent", STEPS=1_280, EPISODES=4, FILM=3)
    assert found["result"]["steps"] == 1_280
    assert (found["again"]["episodes"], found["film"]["steps"]) == (4, 3)
    assert Path(found["film"]["out"]).stat().st_size > 1000
    assert 0 < found["mean"].min() <= found["returns"].max() <= 500
    assert found["outputs"].shape == (3, 2, 51)
    assert ((found["values"] > 0) & (found["values"] < 120)).all()


def test_own_trainer(run):
    found = run("own_trainer", STEPS=2_048, EVERY=1_024, EPISODES=2)
    module, rows = found["module"], found["logger"].rows
    assert found["trainer"].global_step == module.work.updates > 0
    assert Path(found["best"].best_model_path).is_file()
    assert [row["step"] for row in rows] == sorted(row["step"] for row in rows)
    assert sum("eval/return" in row for row in rows) >= 2
    assert all(0 < width < 120 for _, width in found["width"].seen)


def test_hl_gauss_in_pytorch(run):
    found = run("hl_gauss_in_pytorch", UPDATES=150, STEPS=1_200)
    assert found["errors"]["HL-Gauss"] < 0.35  # 0.9 with fresh networks
    assert found["errors"]["MSE"] < 0.35
    assert found["returns"][:, 1].sum() <= 1_200
    assert found["last"] > 5
    fresh, loss = found["q_network"](found["value_loss"]), found["value_loss"]
    assert loss.decode(fresh(torch.zeros(1, 4))).abs().max() < 2


def test_what_the_file_with_hl_gauss_lacks():
    """The last words of the notebook in plain PyTorch."""
    exported = {"__name__": "hl_gauss"}
    exec(source_of(["hl_gauss", "mse"]), exported)
    loss = exported["HLGauss"](v_min=-10, v_max=110, num_bins=51)
    assert torch.equal(loss.centers, HLGauss(v_min=-10, v_max=110, num_bins=51).support.centers)
    assert (
        "next_online_outputs" in inspect.signature(loss.td).parameters
    )  # the notebook's own program needs it
    assert not hasattr(loss, "initial_outputs")


def test_hl_gauss_in_torchrl(run):
    found = run("hl_gauss_in_libraries", STEPS=1_200)
    assert float(found["loss"]) < 0.9 * math.log(51)  # what a fresh network has
    assert 8 <= min(found["torchrl_returns"]) <= max(found["torchrl_returns"]) <= 500


@pytest.mark.skipif(find_spec("stable_baselines3") is None, reason="stable-baselines3 is not installed")
def test_hl_gauss_in_stable_baselines3(run):
    found = run("hl_gauss_in_libraries", "stable-baselines3", STEPS=1_200)
    model, policy = found["model"], found["policy"]
    assert model.num_timesteps >= 1_200
    assert model.q_net.q_net[-1].out_features == 2 * 51
    assert max(abs(value) for value in found["first"][0]) < 2
    assert 8 <= found["mean"] <= 500
    observations = torch.randn(16, 4)
    assert torch.equal(policy.q_net(observations), model.q_net(observations))
    options = {"policy_kwargs": {"bins": found["bins"]}, "learning_starts": 100, "device": "cpu"}
    assert_train_follows_n_steps(
        found["ValueDQN"](found["ValuePolicy"], "CartPole-v1", n_steps=3, seed=1, **options)
    )


def assert_train_follows_n_steps(model):
    """Its loss is that of the greedy target after three steps, and the log has it."""
    model.learn(200)
    model.q_net_target.q_net[-1].reset_parameters()  # values of about 50, and another greedy action
    batch = model.replay_buffer.sample(32)
    assert batch.discounts.min().item() == pytest.approx(0.99**3)
    model.replay_buffer.sample = lambda *_, **__: batch
    with torch.no_grad():
        following = model.q_net_target(batch.next_observations).max(1, keepdim=True).values
        target = batch.rewards + batch.discounts * (1 - batch.dones) * following
        chosen = model.q_net.outputs(batch.observations)[torch.arange(32), batch.actions[:, 0]]
        expected = model.q_net.value_loss(chosen, target[:, 0]).mean().item()
    model.train(1, 32)
    assert model.logger.name_to_value["train/loss"] == pytest.approx(expected, rel=1e-5)


def test_own_study(run):
    found = run("own_study", TRIALS=2, STEPS=400, SMALL=SMALL_STUDY)
    first, second = found["study"].trials
    assert first.params == found["objective"].defaults != second.params
    assert found["recipe"].optimizer.lr == pytest.approx(found["study"].best_params["optimizer.lr"])
    assert (found["fresh"]["seed"], found["fresh"]["steps"]) == (100, 400)
    assert len(found["either"].trials) == 2


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_outputs_are_of_one_run_without_errors(name):
    cells = code(name)
    assert "parameters" in cells[0]["metadata"]["tags"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert {output.get("name") for output in outputs} <= {"stdout", None}
    for output in outputs:
        if picture := output.get("data", {}).get("image/png"):
            assert 1_000 < len(base64.b64decode("".join(picture))) < 60_000


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_path_of_a_machine(name):
    notebook = json.dumps(NOTEBOOKS[name], ensure_ascii=False)
    text = re.sub(r'(base64,|"image/png": ")[\w+/=\\]+', "", notebook)
    assert not MACHINE.search(text), MACHINE.search(text)
    assert len(notebook) < 400_000


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_words_come_first_and_links_lead_somewhere(name):
    kinds = [cell["cell_type"] for cell in NOTEBOOKS[name]["cells"]]
    assert kinds[0] == kinds[-1] == "markdown"
    for cell in NOTEBOOKS[name]["cells"]:
        words = "".join(cell["source"]) if cell["cell_type"] == "markdown" else ""
        for target in re.findall(r"\]\(([^)\s]+)\)", words):
            assert "://" in target or (ROOT / "docs" / "notebooks" / target).exists(), target


def test_the_site_has_every_notebook():
    nav = yaml.dump(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert set(re.findall(r"notebooks/(\w+)\.ipynb", nav)) == NOTEBOOKS.keys()
    index = (ROOT / "docs" / "notebooks" / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\((\w+)\.ipynb\)", index)) == NOTEBOOKS.keys()
