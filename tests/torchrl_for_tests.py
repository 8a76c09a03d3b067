"""Tiny networks and transitions as TorchRL has them, and how its losses are compared with ours."""

from typing import Any

import pytest
import torch
import torchrl.data as rl
from tensordict import TensorDict
from tensordict.nn import NormalParamExtractor, TensorDictModule
from torch import Tensor, nn
from torchrl.modules import (
    MLP,
    DistributionalQValueActor,
    OneHotCategorical,
    ProbabilisticActor,
    QValueActor,
    TanhNormal,
    ValueOperator,
)
from torchrl.objectives import SoftUpdate

from catzoo.losses import QuantileRegression, ValueLoss
from catzoo.losses.torchrl import ValueDQNLoss

B, A, K, OBS, GAMMA = 16, 3, 21, 4, 0.9
M = 2
"""Numbers of a continuous action."""
SPECS = {"one_hot": rl.OneHot(A), "categorical": rl.Categorical(A)}


def atoms_actor(value_loss: Any, space: str = "one_hot") -> DistributionalQValueActor:
    network = MLP(in_features=OBS, out_features=(value_loss.num_outputs, A), num_cells=[16])
    return DistributionalQValueActor(network, value_loss.support.centers, spec=SPECS[space])


def q_actor(space: str = "one_hot", **kwargs: Any) -> QValueActor:
    network = MLP(in_features=OBS, out_features=A, num_cells=[16])
    return QValueActor(network, **{"in_keys": ["observation"], "spec": SPECS[space], **kwargs})


def dqn_loss(value_loss: ValueLoss, **options: Any) -> ValueDQNLoss:
    """With TorchRL's actor for that loss, if there is one."""
    if isinstance(value_loss, QuantileRegression):
        network = MLP(in_features=OBS, out_features=(value_loss.num_outputs, A), num_cells=[16])
        return ValueDQNLoss(network, value_loss, action_space="one-hot", **options)
    actor = q_actor() if value_loss.num_outputs == 1 else atoms_actor(value_loss)
    return ValueDQNLoss(actor, value_loss, **options)


def fixed(value: Tensor, value_loss: ValueLoss, **options: Any) -> ValueDQNLoss:
    """With a network whose output is always this one."""
    module = TensorDictModule(lambda _: value, in_keys=["observation"], out_keys=["action_value"])
    return ValueDQNLoss(module, value_loss, action_space="one-hot", delay_value=False, **options)


def data(shape: tuple[int, ...] = (B,), space: str = "one_hot") -> TensorDict:
    """Transitions whose rewards leave [-5, 5]; some terminated, some only done."""
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(A, shape, generator=generator)
    terminated = torch.rand(*shape, 1, generator=generator) < 0.3
    following = {
        "observation": torch.randn(*shape, OBS, generator=generator),
        "reward": 4 * torch.randn(*shape, 1, generator=generator),
        "terminated": terminated,
        "done": terminated | (torch.rand(*shape, 1, generator=generator) < 0.3),
    }
    now = {"action": index if space == "categorical" else nn.functional.one_hot(index, A).bool()}
    now["observation"] = torch.randn(*shape, OBS, generator=generator)
    return TensorDict({**now, "next": following}, shape)


def train(loss: Any, batches: Any, key: str = "loss") -> list[float]:
    """A loss's values over a step on each batch, with TorchRL's updater and Adam."""
    updater, optimizer, values = SoftUpdate(loss, eps=0.98), torch.optim.Adam(loss.parameters(), 1e-2), []
    for batch in batches:
        optimizer.zero_grad()
        given = loss(batch)
        sum(x for name, x in given.items() if name.startswith("loss")).backward()
        optimizer.step()
        updater.step()
        values.append(given[key].item())
    return values


def tanh_actor() -> ProbabilisticActor:
    """A stochastic actor in a box, for SAC."""
    network = nn.Sequential(MLP(OBS, 2 * M, num_cells=[8]), NormalParamExtractor())
    module = TensorDictModule(network, in_keys=["observation"], out_keys=["loc", "scale"])
    options = {"distribution_class": TanhNormal, "spec": rl.Bounded(-1, 1, M)}
    return ProbabilisticActor(module, in_keys=["loc", "scale"], **options)


def deterministic_actor() -> TensorDictModule:
    """For TD3."""
    network = nn.Sequential(MLP(OBS, M, num_cells=[8]), nn.Tanh())
    return TensorDictModule(network, in_keys=["observation"], out_keys=["action"])


def one_hot_actor() -> ProbabilisticActor:
    """For PPO, with its log-probability."""
    module = TensorDictModule(MLP(OBS, A, num_cells=[8]), in_keys=["observation"], out_keys=["logits"])
    options = {"distribution_class": OneHotCategorical, "spec": SPECS["one_hot"], "return_log_prob": True}
    return ProbabilisticActor(module, in_keys=["logits"], **options)


def q_network(num_outputs: int) -> ValueOperator:
    return ValueOperator(MLP(OBS + M, num_outputs, num_cells=[8]), in_keys=["observation", "action"])


def v_network(num_outputs: int) -> ValueOperator:
    return ValueOperator(MLP(OBS, num_outputs, num_cells=[8]), in_keys=["observation"])


def continuous(shape: tuple[int, ...] = (B,)) -> TensorDict:
    """As `data`, with actions in a box."""
    batch = data(shape)
    batch["action"] = torch.rand(*shape, M, generator=torch.Generator().manual_seed(2)) * 2 - 1
    return batch


def doubled(batch: TensorDict) -> TensorDict:
    """The same in float64."""
    return batch.apply(lambda x: x.double() if x.is_floating_point() else x)


def move_targets(loss: Any) -> None:
    """Away from the online networks, alike for every loss on networks of the same shapes."""
    generator = torch.Generator().manual_seed(1)
    for name, x in sorted(loss.named_buffers()):
        if name.startswith("target_"):
            x.data.add_(torch.randn(x.shape, generator=generator).to(x.dtype))


def step_of(loss: Any, batch: TensorDict) -> dict[str, Tensor]:
    """What a loss gives and writes for a batch, and every parameter's gradient of the sum of its losses."""
    batch = batch.clone()
    loss.zero_grad()
    torch.manual_seed(3)
    given = loss(batch)
    sum(x.sum() for key, x in given.items() if key.startswith("loss_")).backward()
    found = {f"grad of {name}": p.grad.clone() for name, p in loss.named_parameters() if p.grad is not None}
    written = {"td_error": batch["td_error"]} if "td_error" in batch else {}
    return {key: x.detach() for key, x in given.items()} | written | found


def assert_same_step(ours: Any, theirs: Any, batch: TensorDict) -> None:
    """What both give, write and teach."""
    got, want = step_of(ours, batch), step_of(theirs, batch)
    assert got.keys() == want.keys()
    assert any(key.startswith("grad") and x.abs().sum() > 0 for key, x in got.items())
    for key, x in want.items():
        assert got[key].shape == x.shape, key
        assert torch.allclose(got[key], x, rtol=1e-5, atol=1e-5), key


def refusal_of(loss: Any, batch: TensorDict) -> str:
    """What a loss says of a batch that it does not take."""
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        loss(batch)
    return str(refused.value)
