"""A program's own settings of torch change no run, and no run changes them."""

import pytest
import torch

from catzoo.zoo.training.evaluate import evaluate
from catzoo.zoo.training.weights import load_agent
from tiny_runs_for_tests import tiny
from torch_settings_for_tests import SETTINGS, state


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run's folder, and what it scored where nothing was set."""
    folder = tmp_path_factory.mktemp("runs") / "plain"
    return folder, tiny(folder, steps=200, loss="hl_gauss")["returns"]


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_run_and_an_evaluation_are_the_same_and_leave_everything_as_it_was(setting, plain, tmp_path):
    with SETTINGS[setting]():
        before = state()
        assert tiny(tmp_path / "run", steps=200, loss="hl_gauss")["returns"] == plain[1]
        assert state() == before
        assert evaluate(plain[0])["returns"] == plain[1]
        assert state() == before


@pytest.mark.parametrize("setting", SETTINGS)
def test_an_agent_is_the_same_and_leaves_everything_as_it_was(setting, plain):
    observation = torch.ones(3, 4)
    _, agent = load_agent(plain[0])
    with SETTINGS[setting]():
        before = state()
        _, another = load_agent(plain[0])
        assert torch.equal(another.act(observation), agent.act(observation))
        assert state() == before
    assert all(one.dtype == torch.float32 and one.requires_grad for one in another.network.parameters())


def test_threads_are_given_back(plain, tmp_path):
    before = torch.get_num_threads()
    tiny(tmp_path / "run", f"compute.threads={before + 1}", steps=100)
    load_agent(tmp_path / "run")
    assert torch.get_num_threads() == before
