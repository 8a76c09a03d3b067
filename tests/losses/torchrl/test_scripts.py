"""The losses in TorchRL scripts: the examples in their docstrings, and a loop of TorchRL's own parts."""

import doctest
import importlib
import math

import pytest
import torch
import torchrl.data as rl
from tensordict.nn import TensorDictSequential
from torchrl.collectors import Collector
from torchrl.envs import GymEnv
from torchrl.modules import MLP, DistributionalQValueActor, EGreedyModule

from catzoo.losses import HLGauss
from catzoo.losses.torchrl import ValueDQNLoss
from torchrl_for_tests import train

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")


@pytest.mark.parametrize("name", ["value_dqn", "value_sac", "value_td3", "value_clip_ppo"])
def test_the_example_runs(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"catzoo.losses.torchrl.{name}"))
    assert result.attempted > 10 > result.failed == 0


def test_a_cartpole_loop() -> None:
    """TorchRL's collector, exploration, buffer and updater around our loss."""
    torch.manual_seed(0)
    env = GymEnv("CartPole-v1", categorical_action_encoding=False)
    value_loss = HLGauss(0, 100, 51)
    network = MLP(in_features=4, out_features=(51, 2), num_cells=[32])
    actor = DistributionalQValueActor(network, value_loss.support.centers, spec=env.action_spec)
    policy = TensorDictSequential(actor, EGreedyModule(env.action_spec, annealing_num_steps=200))
    loss = ValueDQNLoss(actor, value_loss, gamma=0.99, double_dqn=True)
    buffer = rl.ReplayBuffer(storage=rl.LazyTensorStorage(1000), batch_size=32)
    options = {"frames_per_batch": 50, "total_frames": 300, "auto_register_policy_transforms": False}
    collector = Collector(env, policy, **options)
    stored = (buffer.extend(frames.reshape(-1)) for frames in collector)
    values = train(loss, (buffer.sample() for _ in stored for _ in range(5)))
    collector.shutdown()
    assert len(values) == sum(map(math.isfinite, values)) == 30
    assert values[-1] < values[0]
