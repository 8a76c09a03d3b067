"""A reset replaces the last layers, moves the convolutions part of the way, and forgets Adam's moments."""

import pytest
import torch

from catzoo.agents import DQN, AtWork, QNetwork, reset_last_layers
from catzoo.hparams import DQNRecipe, build
from catzoo.losses import HLGauss


@pytest.mark.parametrize("keep", [0.0, 0.8, 1.0])
def test_what_is_kept(keep):
    network = QNetwork((10, 10, 4), 3, 5, torso="minatar_cnn", dueling=True, noisy=True)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    torch.manual_seed(1)
    reset_last_layers(network, keep)
    for name, parameter in network.named_parameters():
        if name.startswith("torso.layers.0."):
            moved = (parameter - keep * before[name]).detach()
            bound = (1 - keep) / (4 * 9) ** 0.5 + 1e-6  # of nn.Conv2d's uniform initialisation
            assert moved.abs().max() <= bound
            assert torch.equal(parameter, before[name]) == (keep == 1.0)
        elif "sigma" not in name:  # those begin with one constant
            assert not torch.equal(parameter, before[name]), name


def test_an_agent_resets_on_its_schedule(corridor):
    torch.manual_seed(0)
    loss = HLGauss(-10, 40, 21)
    keys = {
        "rollout_length": 4,
        "learning_starts": 16,
        "updates_per_step": 1.0,
        "batch_size": 8,
        "replay": {"capacity": 500},
        "target_update_every": 1_000,
        "reset_every": 24,
        "exploration": {"start": 1.0, "end": 1.0, "decay_steps": 1},
    }
    recipe = build(DQNRecipe, keys, where="test")
    agent = DQN(QNetwork((1,), 2, loss.num_outputs, hidden=(32,)), loss, recipe)
    work = AtWork(agent, corridor((5, 7)))
    while work.updates < 48:
        work.iterate()
        counts = {int(step) for step in work.learner.optimizers[0].steps}
        assert counts == {work.updates % 24}
    for own, target in zip(work.agent.network.parameters(), work.agent.target.parameters(), strict=True):
        assert torch.equal(own, target)  # 48 is a reset
