"""ValueClipPPOLoss against ClipPPOLoss and formulas in float64, with TorchRL's advantage estimators."""

import copy
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule, set_skip_existing
from torch import nn
from torchrl.modules import MLP, ActorValueOperator, ValueOperator
from torchrl.objectives import ClipPPOLoss, ValueEstimators
from torchrl.objectives.value import GAE

from catzoo.kernels import reference
from catzoo.losses import C51, LOSSES, MSE, HLGauss, Huber, TwoHot, ValueLoss, make_value_loss
from catzoo.losses.torchrl import ValueClipPPOLoss
from torchrl_for_tests import (
    OBS,
    A,
    K,
    assert_same_step,
    data,
    doubled,
    one_hot_actor,
    refusal_of,
    step_of,
    v_network,
)

N, T = 4, 6


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def rollout(actor: Any) -> TensorDict:
    """Steps [N, T] of episodes that go on from one to the next, acted by a policy that has changed since."""
    batch = data((N, T))
    batch["next", "observation"][:, :-1] = batch["observation"][:, 1:]
    with torch.no_grad():
        acted = actor(batch.select("observation"))
    log_prob = acted["action_log_prob"] + 0.3 * torch.randn(N, T)
    return batch.update(acted.select("action")).set("action_log_prob", log_prob)


def pair(value_loss: ValueLoss, name: str, **options: Any) -> tuple[ValueClipPPOLoss, ClipPPOLoss]:
    actor, critic = one_hot_actor(), v_network(1)
    ours = ValueClipPPOLoss(actor, critic, value_loss, **options)
    theirs = ClipPPOLoss(copy.deepcopy(actor), copy.deepcopy(critic), loss_critic_type=name, **options)
    return ours, theirs


def assert_same(ours: Any, theirs: Any, batch: TensorDict) -> None:
    got, want = step_of(ours, batch), step_of(theirs, batch)
    got = {key.replace(".network.", "."): x for key, x in got.items()}  # DecodedCritic's
    assert got.keys() == want.keys()
    for key, x in want.items():
        assert got[key].shape == x.shape, key
        assert torch.allclose(got[key], x, rtol=1e-5, atol=1e-5), key


@pytest.mark.parametrize(("value_loss", "name"), [(MSE(), "l2"), (Huber(), "smooth_l1")])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_scalar_losses_are_torchrls(value_loss: ValueLoss, name: str, reduction: str) -> None:
    ours, theirs = pair(value_loss, name, reduction=reduction)
    assert_same(ours, theirs, rollout(ours.actor_network))


@pytest.mark.parametrize(
    "options",
    [
        {"critic_coeff": 0.3},
        {"critic_coeff": 0.0},
        {"clip_value": 0.1},
        {"clip_value": True, "clip_epsilon": 0.05},
        {"clip_epsilon": (0.1, 0.3), "normalize_advantage": True},
        {"entropy_bonus": False, "log_explained_variance": False},
        {"separate_losses": True},
        {"functional": False},
        {"delay_actor": True, "max_importance_ratio": 1.2},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:No target network updater")
def test_torchrls_options(options: dict[str, Any]) -> None:
    ours, theirs = pair(MSE(), "l2", **options)
    batch = rollout(ours.actor_network)
    batch["state_value"] = ours.critic_network(batch.clone())["state_value"].detach() + 0.2 * torch.randn(
        N, T, 1
    )
    GAE(gamma=0.9, lmbda=0.9, value_network=None)(batch.set(("next", "state_value"), torch.zeros(N, T, 1)))
    assert_same(ours, theirs, batch)


@pytest.mark.parametrize("value_type", [ValueEstimators.GAE, ValueEstimators.TD0, ValueEstimators.TDLambda])
def test_its_own_estimators(value_type: ValueEstimators) -> None:
    ours, theirs = pair(MSE(), "l2")
    for loss in (ours, theirs):
        loss.make_value_estimator(value_type, gamma=0.8)
    assert_same(ours, theirs, rollout(ours.actor_network))


@pytest.mark.parametrize(
    "options", [{}, {"deactivate_vmap": True}, {"shifted": True, "shifted_budget": T}], ids=str
)
def test_an_estimator_outside_reads_values(options: dict[str, Any]) -> None:
    value_loss = HLGauss(-5, 5, K)
    loss = ValueClipPPOLoss(one_hot_actor(), v_network(K), value_loss)
    batch = rollout(loss.actor_network)
    known = batch.clone()
    for part in (known, known["next"]):
        logits = loss.critic_network.network.module(part["observation"])
        part["state_value"] = reference.categorical_value(logits, value_loss.support.centers)[..., None]
    want = GAE(gamma=0.9, lmbda=0.8, value_network=None)(known)
    got = GAE(gamma=0.9, lmbda=0.8, value_network=loss.critic_network, **options)(batch)
    for key in ("state_value", "advantage", "value_target"):
        assert torch.allclose(got[key], want[key], atol=1e-5), key


@pytest.mark.parametrize("value_loss", [HLGauss(-5, 5, K), TwoHot(-5, 5, K), C51(-5, 5, K)], ids=type)
def test_categorical_losses_are_the_formulas(value_loss: Any) -> None:
    loss = ValueClipPPOLoss(one_hot_actor(), v_network(K), value_loss, critic_coeff=0.5).double()
    batch = doubled(rollout(one_hot_actor()))
    GAE(gamma=0.9, lmbda=0.8, value_network=loss.critic_network)(batch)
    target = batch["value_target"].squeeze(-1)
    edges, centers = value_loss.support.grid(torch.float64)
    if isinstance(value_loss, HLGauss):
        label = reference.hl_gauss_label(target.clamp(-5, 5), edges, value_loss.sigma)
    else:  # a return is a number, for C51 as well
        label = reference.two_hot_label(target, centers)
    logits = loss.critic_network.network.module(batch["observation"])
    want = 0.5 * reference.cross_entropy(logits, label)
    value = reference.categorical_value(logits, centers)
    got = step_of(loss, batch)
    assert torch.allclose(got["loss_critic"], want.mean(), rtol=1e-8)
    explained = 1 - (target - value).var(0, correction=0) / target.var(0, correction=0)
    assert torch.allclose(got["explained_variance"].squeeze(-1), explained)
    assert got["loss_critic"].dtype == torch.float64


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_teaches_the_right_networks(name: str) -> None:
    value_loss = make_value_loss(name)
    loss = ValueClipPPOLoss(one_hot_actor(), v_network(value_loss.num_outputs), value_loss)
    given = loss(rollout(loss.actor_network))
    for key, own in (("loss_critic", "critic_network_params"), ("loss_objective", "actor_network_params")):
        loss.zero_grad()
        given[key].backward(retain_graph=True)
        moved = {n for n, p in loss.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        assert moved == {n for n, _ in loss.named_parameters() if n.startswith(own)}
        assert all(p.grad is None or p.grad.isfinite().all() for p in loss.parameters())


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_trains(name: str) -> None:
    value_loss = make_value_loss(name)
    loss = ValueClipPPOLoss(one_hot_actor(), v_network(value_loss.num_outputs), value_loss)
    batch = GAE(gamma=0.9, lmbda=0.8, value_network=loss.critic_network)(rollout(loss.actor_network))
    optimizer, values = torch.optim.Adam(loss.parameters(), 1e-2), []
    for _ in range(12):
        optimizer.zero_grad()
        given = loss(batch)
        (given["loss_critic"] + given["loss_objective"]).backward()
        optimizer.step()
        values.append(given["loss_critic"].item())
    assert values[-1] < 0.95 * values[0]


@pytest.mark.parametrize("separate", [False, True])
def test_actor_and_critic_of_one_torso(separate: bool) -> None:
    """As TorchRL's: with `separate_losses` the critic's loss leaves the torso alone."""
    torso = TensorDictModule(nn.Linear(OBS, 5), in_keys=["observation"], out_keys=["hidden"])
    policy = one_hot_actor()
    policy[0].module = MLP(5, A, num_cells=[8])
    policy[0].in_keys = ["hidden"]
    value = ValueOperator(nn.Linear(5, K), in_keys=["hidden"])
    both = ActorValueOperator(torso, policy, value)
    loss = ValueClipPPOLoss(
        both.get_policy_operator(), both.get_value_operator(), HLGauss(-5, 5, K), separate_losses=separate
    )
    given = loss(rollout(both.get_policy_operator()))
    given["loss_critic"].backward()
    assert (torso.module.weight.grad is None) == separate
    assert value.module.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("separate", [False, True])
def test_a_head_on_features_that_are_there(separate: bool) -> None:
    """As TorchRL's: with `separate_losses` the critic's loss ends at what the batch holds."""
    value = ValueOperator(nn.Linear(5, K), in_keys=["hidden"])
    loss = ValueClipPPOLoss(one_hot_actor(), value, HLGauss(-5, 5, K), separate_losses=separate)
    batch = rollout(loss.actor_network)
    batch["advantage"] = batch["value_target"] = torch.zeros(N, T, 1)
    batch["hidden"] = hidden = torch.zeros(N, T, 5, requires_grad=True)
    loss(batch)["loss_critic"].backward()
    assert (hidden.grad is None) == separate


@pytest.mark.parametrize(("key", "outputs"), [("v", "v_outputs"), (("critic", "v"), ("critic", "v_outputs"))])
def test_keys_can_be_set(key: Any, outputs: Any) -> None:
    actor, network = one_hot_actor(), nn.Linear(OBS, K)
    batch, found = rollout(actor), []
    for name in ("state_value", key):
        critic = TensorDictModule(network, in_keys=["observation"], out_keys=[name])
        loss = ValueClipPPOLoss(actor, critic, TwoHot(-5, 5, K))
        keys = {} if name != key else {"value": key, "advantage": "a", "value_target": "goal"}
        loss.set_keys(**keys)
        gae = GAE(gamma=0.99, lmbda=0.95, value_network=loss.critic_network)
        gae.set_keys(**keys)
        found += [loss(gae(batch.clone()))["loss_critic"], loss(batch)["loss_critic"]]
    assert torch.allclose(torch.stack(found), found[0])
    assert loss.critic_network.outputs_key == outputs


def test_values_that_are_there_are_kept_where_the_estimator_says_so() -> None:
    loss = ValueClipPPOLoss(one_hot_actor(), v_network(K), TwoHot(-5, 5, K))
    batch = loss.critic_network(rollout(loss.actor_network))
    batch["state_value"] += 1
    with set_skip_existing(True):
        kept = loss.critic_network(batch.clone())
    assert torch.equal(kept["state_value"], batch["state_value"])


def test_keywords_and_out_keys() -> None:
    ours, theirs = pair(MSE(), "l2")
    assert ours.out_keys == theirs.out_keys
    assert set(ours.in_keys) == set(theirs.in_keys)
    keywords = {key.replace(".", "_"): x for key, x in rollout(ours.actor_network).flatten_keys(".").items()}
    for loss in (ours, theirs):
        loss.select_out_keys("loss_objective", "loss_critic")
    assert torch.allclose(torch.stack(ours(**keywords)), torch.stack(theirs(**keywords)))


def test_state_dict_round_trip() -> None:
    first, second = (ValueClipPPOLoss(one_hot_actor(), v_network(K), HLGauss(-5, 5, K)) for _ in range(2))
    batch = rollout(first.actor_network)
    second.load_state_dict(first.state_dict())
    assert_same_step(first, second, batch)
    assert_same_step(first, copy.deepcopy(first), batch)
    names = [name for name, _ in first.named_parameters()]
    assert not any("support" in name for name in names)


def test_bfloat16() -> None:
    loss = ValueClipPPOLoss(one_hot_actor(), v_network(K), HLGauss(-5, 5, K))
    loss.make_value_estimator(gamma=0.99, lmbda=0.95)
    batch = rollout(loss.actor_network)
    single = loss(batch)["loss_critic"]
    loss.to(torch.bfloat16)
    found = step_of(loss, batch.apply(lambda x: x.bfloat16() if x.is_floating_point() else x))
    assert all(x.isfinite().all() for x in found.values())
    assert torch.allclose(found["loss_critic"].float(), single, rtol=0.05)
    assert loss.value_estimator.gamma == torch.tensor(0.99)
    assert loss.value_estimator.lmbda == torch.tensor(0.95)


def test_bad_arguments_are_named() -> None:
    actor, critic = one_hot_actor(), v_network(1)
    with pytest.raises(TypeError, match=r"^value_loss must be a catzoo.losses.ValueLoss, got 'mse'$"):
        ValueClipPPOLoss(actor, critic, "mse")  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match=r"^ValueClipPPOLoss takes no loss_critic_type: value_loss scores the"
    ):
        ValueClipPPOLoss(actor, critic, MSE(), loss_critic_type="l2")
    with pytest.raises(ValueError, match=r"^clip_value must be None for C51: no outputs stand for a clipped"):
        ValueClipPPOLoss(actor, v_network(K), C51(-5, 5, K), clip_value=0.2)


def test_wrong_entries_are_named() -> None:
    actor, critic = one_hot_actor(), v_network(K + 1)
    batch = rollout(actor)
    wide = ValueClipPPOLoss(actor, critic, TwoHot(-5, 5, K))
    assert refusal_of(wide, batch) == "'state_value' must have shape [*batch, 21], got [4, 6, 22]"
    loss = ValueClipPPOLoss(actor, v_network(K), TwoHot(-5, 5, K))
    batch["advantage"] = torch.zeros(N, T, 1)
    assert refusal_of(loss, batch).startswith("no 'value_target' in the tensordict, which has ")
    batch["value_target"] = torch.zeros(N, T, K)  # what an estimator makes of a critic that is not decoded
    assert refusal_of(loss, batch) == "'value_target' must have shape [*batch, 1], got [4, 6, 21]"
