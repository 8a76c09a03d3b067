"""ValueDQNLoss against TorchRL's own losses, and with what else TorchRL gives."""

import math
from typing import Any

import pytest
import torch
import torchrl.data as rl
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torchrl.data.postprocs import MultiStep
from torchrl.modules import DistributionalQValueActor
from torchrl.objectives import DistributionalDQNLoss, DQNLoss, HardUpdate, SoftUpdate, ValueEstimators

from catzoo.losses import (
    C51,
    LOSSES,
    MSE,
    HLGauss,
    Huber,
    QuantileRegression,
    TwoHot,
    ValueLoss,
    make_value_loss,
)
from catzoo.losses.torchrl import ValueDQNLoss
from torchrl_for_tests import (
    GAMMA,
    OBS,
    SPECS,
    A,
    B,
    K,
    atoms_actor,
    data,
    dqn_loss,
    q_actor,
    train,
)

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def move_target(loss: Any) -> None:
    """Away from the online network, alike for every loss on networks of the same shapes."""
    generator = torch.Generator().manual_seed(1)
    for key, x in sorted(loss.target_value_network_params.items(True, True), key=str):
        if loss.delay_value and "support" not in key:
            x.data.add_(torch.randn(x.shape, generator=generator))


def scored(loss: Any, batch: TensorDict) -> dict[str, Tensor]:
    """What a loss gives and writes for a batch, with the gradients of its network."""
    batch = batch.clone()
    loss.zero_grad()
    value = loss(batch)["loss"]
    value.sum().backward()
    found = {name: p.grad.clone() for name, p in loss.named_parameters()}
    assert any(grad.abs().sum() > 0 for grad in found.values())
    return {"loss": value.detach(), "td_error": batch["td_error"], **found}


def assert_same(ours: Any, theirs: Any, batch: TensorDict, *, without: str = "") -> None:
    """Loss, priority and gradients, with a target network of its own where there is one."""
    move_target(ours), move_target(theirs)
    got, want = scored(ours, batch), scored(theirs, batch)
    assert got.keys() == want.keys()
    for key in got.keys() - {without}:
        assert got[key].shape == want[key].shape
        assert torch.allclose(got[key], want[key], rtol=1e-5, atol=1e-5), key


@pytest.mark.parametrize("space", SPECS)
@pytest.mark.parametrize("delay_value", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_c51_is_torchrls(space: str, delay_value: bool, reduction: str) -> None:
    value_loss = C51(-5, 5, K)
    actor = atoms_actor(value_loss, space)
    options: dict[str, Any] = {"gamma": GAMMA, "delay_value": delay_value, "reduction": reduction}
    theirs = DistributionalDQNLoss(actor, **options)
    ours = ValueDQNLoss(actor, value_loss, double_dqn=delay_value, **options)
    assert_same(ours, theirs, data(space=space), without="td_error")


@pytest.mark.parametrize(("value_loss", "name"), [(MSE(), "l2"), (Huber(), "smooth_l1")])
@pytest.mark.parametrize("space", SPECS)
@pytest.mark.parametrize(("delay_value", "double"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_scalar_losses_are_torchrls(
    value_loss: ValueLoss, name: str, space: str, delay_value: bool, double: bool, reduction: str
) -> None:
    actor = q_actor(space)
    options: dict[str, Any] = {"delay_value": delay_value, "double_dqn": double, "reduction": reduction}
    ours, theirs = ValueDQNLoss(actor, value_loss, **options), DQNLoss(actor, loss_function=name, **options)
    for loss in (ours, theirs):
        loss.make_value_estimator(ValueEstimators.TD0, gamma=GAMMA)
    assert_same(ours, theirs, data(space=space))


@pytest.mark.parametrize("shape", [(), (5, 3)])
@pytest.mark.parametrize("space", SPECS)
def test_any_leading_dimensions(shape: tuple[int, ...], space: str) -> None:
    actor, batch = q_actor(space), data(shape, space)
    for entries in (batch, batch.exclude(("next", "terminated"))):  # without it "done" stands in
        assert_same(ValueDQNLoss(actor, MSE()), DQNLoss(actor), entries)
    hl_gauss = HLGauss(-5, 5, K)
    ours = ValueDQNLoss(atoms_actor(hl_gauss, space), hl_gauss, reduction="none")
    flat = ours(batch.reshape(-1))["loss"]
    assert torch.allclose(ours(batch)["loss"].reshape(-1), flat, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_trains(name: str) -> None:
    values = train(dqn_loss(make_value_loss(name), gamma=GAMMA), [data()] * 30)
    assert values[-1] < 0.9 * values[0]


@pytest.mark.parametrize(
    ("key", "x", "message"),
    [
        (("next", "reward"), torch.zeros(B), r"'reward'\) must have shape \[\*batch, 1\], got \[16\]"),
        (("next", "terminated"), torch.zeros(B, 2), r"must have shape \[16, 1\] or \[16\], got \[16, 2\]"),
        ("priority_weight", torch.ones(B, 2), r"'priority_weight' must have shape .*got \[16, 2\]"),
        ("action", torch.zeros(B, 1).long(), r"one-hot of shape \[16, 3\], got \[16, 1\]; for indices give"),
        ("action", None, r"no 'action' in the tensordict, which has \('next', 'done'\), .*observation"),
    ],
)
def test_wrong_entries_are_named(key: Any, x: Tensor | None, message: str) -> None:
    batch = data().exclude(key)
    if x is not None:
        batch[key] = x
    with pytest.raises(ValueError, match=message):
        dqn_loss(MSE())(batch)


def test_an_actor_with_a_softmax_is_refused_for_quantiles() -> None:
    actor = atoms_actor(TwoHot(-5, 5, K))
    with pytest.raises(ValueError, match="takes a softmax of its outputs, which quantiles are not"):
        ValueDQNLoss(actor, QuantileRegression(K))


@pytest.mark.parametrize("space", [None, "mult_one_hot", "binary", "nonsense", rl.Binary(A)])
def test_other_action_spaces_are_refused(space: Any) -> None:
    with pytest.raises(ValueError, match="action_space must be one of one_hot, categorical or such a spec"):
        ValueDQNLoss(nn.Linear(OBS, A), MSE(), action_space=space)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(TypeError, match=r"value_loss must be a catzoo.losses.ValueLoss, got 'mse'"):
        ValueDQNLoss(q_actor(), "mse")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="layout must be one of auto, atoms_first, atoms_last; got 'x'"):
        dqn_loss(MSE(), layout="x")
    with pytest.raises(ValueError, match=r"gamma must be in \[0, 1\], got 99"):
        dqn_loss(MSE(), gamma=99)
    with pytest.raises(ValueError, match="double_dqn=True requires delay_value=True"):
        dqn_loss(MSE(), double_dqn=True, delay_value=False)
    with pytest.raises(NotImplementedError, match=r"must be ValueEstimators.TD0, got .*TDLambda"):
        dqn_loss(MSE()).make_value_estimator(ValueEstimators.TDLambda)


def test_action_masks() -> None:
    """With one output a masked action is out of the next maximum; categorical losses refuse a mask."""
    batch = data()
    for part in (batch, batch["next"]):
        part["mask"] = torch.tensor([True, False, True]).expand(B, A)
    batch["action"] = nn.functional.one_hot(torch.arange(B) % 2 * 2, A)
    actor = q_actor(action_mask_key="mask")
    assert_same(ValueDQNLoss(actor, MSE()), DQNLoss(actor), batch)
    with pytest.raises(ValueError, match="action_mask_key must be None for TwoHot"):
        ValueDQNLoss(actor, TwoHot(-5, 5, K))


def test_gamma_is_set_as_in_torchrl() -> None:
    loss, batch = dqn_loss(MSE(), gamma=GAMMA), data()
    with_gamma = loss(batch)["loss"]
    loss.gamma = 0.0
    loss(batch)
    error = loss.value_network(batch.clone())["action_value"][batch["action"]] - batch["next", "reward"][:, 0]
    assert torch.allclose(batch["td_error"][:, 0], error.square())
    for value_type in ((), (loss.value_type,), ("td0",)):
        loss.make_value_estimator(*value_type, gamma=GAMMA)
        assert loss(batch)["loss"] == with_gamma
        loss.make_value_estimator(*value_type, gamma=0.0)
        assert loss(batch)["loss"] != with_gamma


def test_n_step_data_of_torchrls_multi_step() -> None:
    batch = MultiStep(GAMMA, 3)(data((4, 6)))
    assert set(batch["steps_to_next_obs"].flatten().tolist()) == {1, 2, 3}
    theirs = DQNLoss(actor := q_actor())
    theirs.make_value_estimator(gamma=GAMMA)
    assert_same(ValueDQNLoss(actor, MSE(), gamma=GAMMA), theirs, batch)


@pytest.mark.parametrize("shape", [(B,), (B, 1)])
def test_n_step_c51_is_torchrls(shape: tuple[int, ...]) -> None:
    steps, c51 = torch.randint(1, 4, (B, 1)), C51(-5, 5, K)
    theirs = DistributionalDQNLoss(actor := atoms_actor(c51), gamma=GAMMA, delay_value=False)
    want = theirs(data().set("steps_to_next_obs", steps))["loss"]  # [B] fails there
    ours = ValueDQNLoss(actor, c51, gamma=GAMMA)
    assert torch.allclose(ours(data().set("steps_to_next_obs", steps.view(shape)))["loss"], want)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_importance_weights(reduction: str) -> None:
    batch, actor = data().set("priority_weight", torch.linspace(0.1, 1, B)), q_actor()
    theirs = DQNLoss(actor, reduction=reduction)
    assert_same(ValueDQNLoss(actor, MSE(), reduction=reduction), theirs, batch)
    plain: dict[str, Any] = {"reduction": reduction, "use_prioritized_weights": False}
    assert_same(ValueDQNLoss(actor, MSE(), **plain), DQNLoss(actor, **plain), batch)


def test_prioritised_replay_takes_the_error_and_gives_the_weight() -> None:
    loss, full = dqn_loss(HLGauss(-5, 5, K)), data()
    loss(full)
    options = {"alpha": 1.0, "beta": 1.0, "eps": 0.0, "batch_size": 64, "priority_key": "td_error"}
    buffer = rl.TensorDictPrioritizedReplayBuffer(storage=rl.LazyTensorStorage(B), **options)
    buffer.extend(data())
    for _ in range(10):
        sample = buffer.sample()
        loss(sample)
        buffer.update_tensordict_priority(sample)
    sample = buffer.sample()
    product = sample["priority_weight"] * full["td_error"][sample["index"].long(), 0]
    assert torch.allclose(product, product[:1])  # the weight is one over the priority


def test_keys_can_be_set() -> None:
    root = {"action": "move", "priority_weight": "w", "steps_to_next_obs": ("info", "n")}
    following = {"reward": "gain", "terminated": "over", "done": "end"}
    module = TensorDictModule(network := nn.Linear(OBS, A), in_keys=["observation"], out_keys=["q"])
    plain, renamed = (ValueDQNLoss(net, MSE(), action_space="one-hot") for net in (network, module))
    renamed.set_keys(action_value="q", priority="urgency", **root, **following)
    batch = data().set("priority_weight", torch.rand(B)).set("steps_to_next_obs", torch.randint(1, 4, (B,)))
    other = batch.clone()
    for part, names in ((other, root), (other["next"], following)):
        for key, name in names.items():
            part.rename_key_(key, name)
    assert plain(batch)["loss"] == renamed(other)["loss"]
    assert torch.equal(batch["td_error"], other["urgency"])
    assert set(renamed.in_keys) >= {"move", ("next", "gain"), ("next", "over"), "observation"}


def test_keywords_instead_of_a_tensordict() -> None:
    loss = ValueDQNLoss(nn.Linear(OBS, A), MSE(), action_space="categorical")
    batch = data(space="categorical")
    keywords = {key.replace(".", "_"): x for key, x in batch.flatten_keys(".").items()}
    assert loss(**keywords) == loss(batch)["loss"]


@pytest.mark.parametrize("soft", [False, True])
def test_parameters_are_the_networks_and_target_updaters_move_the_target(soft: bool) -> None:
    loss = dqn_loss(HLGauss(-5, 5, K))
    assert {id(p) for p in loss.parameters()} == {id(p) for p in loss.value_network.parameters()}
    updater = SoftUpdate(loss, eps=0.75) if soft else HardUpdate(loss, value_network_update_interval=0)
    before = [p.detach().clone() for p in loss.parameters()]
    for p in loss.parameters():
        p.data.add_(1)
    updater.step()
    target = loss.target_value_network_params
    for (key, _), old in zip(loss.value_network_params.named_parameters(), before, strict=True):
        moved = target.get(tuple(key.split("."))) - old
        assert torch.allclose(moved, torch.tensor(0.25 if soft else 1.0), atol=1e-6)


def test_dtype_follows() -> None:
    loss = dqn_loss(HLGauss(-5, 5, K), gamma=GAMMA, double_dqn=True)
    single = loss(data())["loss"].double()
    wide = data().apply(lambda x: x.double() if x.is_floating_point() else x)
    assert torch.allclose(loss.to(torch.float64)(wide)["loss"], single, atol=1e-5)
    loss.to(torch.bfloat16)
    assert {p.dtype for p in loss.parameters()} == {torch.bfloat16}
    assert loss.gamma == torch.tensor(GAMMA)
    assert loss.value_loss.support.centers.dtype == torch.float32


def test_an_actor_may_have_another_support() -> None:
    """Evenly spaced it acts the same; loading one into the loss leaves the value loss's."""
    value_loss, other = HLGauss(-5, 5, K), HLGauss(0, 100, K)
    actor = atoms_actor(value_loss)
    other_actor = DistributionalQValueActor(actor.module[0], other.support.centers, spec=rl.OneHot(A))
    assert torch.equal(actor(data((500,)))["action"], other_actor(data((500,)))["action"])
    loss = ValueDQNLoss(actor, value_loss)
    loss.load_state_dict(ValueDQNLoss(other_actor, other).state_dict())
    assert torch.equal(value_loss.support.centers, HLGauss(-5, 5, K).support.centers)


@pytest.mark.gpu
def test_device_follows() -> None:
    loss = dqn_loss(HLGauss(-5, 5, K), double_dqn=True)
    on_cpu = scored(loss, data())["loss"]
    on_gpu = scored(loss.to("cuda"), data().to("cuda"))["loss"]
    assert {x.device.type for x in (loss.gamma, loss.value_loss.support.centers)} == {"cuda"}
    assert torch.allclose(on_gpu.cpu(), on_cpu, rtol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("where", ["observation", "reward"])
def test_nan_in_nan_out(name: str, where: str) -> None:
    loss = dqn_loss(make_value_loss(name), reduction="none", double_dqn=True)
    batch = data()
    batch["next", "terminated"][5] = False
    batch["next", where][5] = math.nan
    assert loss(batch)["loss"].isnan().nonzero().flatten().tolist() == [5]
