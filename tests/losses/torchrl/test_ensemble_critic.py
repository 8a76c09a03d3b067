"""What ValueSACLoss and ValueTD3Loss have in common, against TorchRL's own losses and formulas in float64."""

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
import torchrl.data as rl
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torchrl.data.postprocs import MultiStep
from torchrl.modules import MLP, ValueOperator
from torchrl.objectives import HardUpdate, SACLoss, SoftUpdate, TD3Loss, ValueEstimators
from torchrl.objectives.value import TD0Estimator

from catzoo.kernels import reference
from catzoo.losses import C51, LOSSES, MSE, HLGauss, Huber, TwoHot, ValueLoss, make_value_loss
from catzoo.losses.torchrl import ValueSACLoss, ValueTD3Loss
from torchrl_for_tests import (
    GAMMA,
    OBS,
    B,
    K,
    M,
    assert_same_step,
    continuous,
    deterministic_actor,
    doubled,
    move_targets,
    q_network,
    refusal_of,
    step_of,
    tanh_actor,
    train,
)

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")


class Kind(NamedTuple):
    """One of the two losses: ours, TorchRL's, its actor, and options that both need."""

    ours: Any
    theirs: Any
    actor: Callable[[], Any]
    options: dict[str, Any]

    def make(self, value_loss: ValueLoss, **options: Any) -> Any:
        qvalue = q_network(value_loss.num_outputs)
        return self.ours(self.actor(), qvalue, value_loss, **{"gamma": GAMMA, **self.options, **options})

    def pair(self, value_loss: ValueLoss, name: str, **options: Any) -> tuple[Any, Any]:
        """Ours and TorchRL's with the same parameters, and targets that differ from them."""
        actor, qvalue, options = self.actor(), q_network(1), {**self.options, **options}
        ours = self.ours(actor, qvalue, value_loss, gamma=GAMMA, **options)
        theirs = self.theirs(copy.deepcopy(actor), qvalue, loss_function=name, **options)
        missing = theirs.load_state_dict(ours.state_dict(), strict=False)
        assert missing.missing_keys == []
        theirs.make_value_estimator(gamma=GAMMA)
        move_targets(ours), move_targets(theirs)
        return ours, theirs


SAC = Kind(ValueSACLoss, SACLoss, tanh_actor, {})
TD3 = Kind(ValueTD3Loss, TD3Loss, deterministic_actor, {"bounds": (-1.0, 1.0)})


@pytest.fixture(params=[SAC, TD3], ids=["sac", "td3"])
def kind(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    return request.param


@pytest.mark.parametrize(("value_loss", "name"), [(MSE(), "l2"), (Huber(), "smooth_l1")])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_scalar_losses_are_torchrls(kind: Kind, value_loss: ValueLoss, name: str, reduction: str) -> None:
    scalars = {"scalar_output_mode": "exclude"} if kind is SAC and reduction == "none" else {}
    assert_same_step(*kind.pair(value_loss, name, reduction=reduction, **scalars), continuous())


@pytest.mark.parametrize(
    "options",
    [
        {"delay_qvalue": False},
        {"delay_actor": True},
        {"delay_actor": False},
        {"num_qvalue_nets": 1},
        {"num_qvalue_nets": 3, "deactivate_vmap": True},
        {"separate_losses": True},
        {"use_prioritized_weights": False},
    ],
    ids=str,
)
def test_torchrls_options(kind: Kind, options: dict[str, Any]) -> None:
    batch = continuous().set("priority_weight", torch.linspace(0.1, 1, B))
    assert_same_step(*kind.pair(MSE(), "l2", **options), batch)


@pytest.mark.parametrize("shape", [(5, 3), (1,)])
def test_any_leading_dimensions(kind: Kind, shape: tuple[int, ...]) -> None:
    assert_same_step(*kind.pair(MSE(), "l2"), continuous(shape))
    loss = kind.make(HLGauss(-5, 5, K))
    batch = continuous(shape)
    loss(batch)
    assert batch["td_error"].shape == shape


def test_critics_of_their_own_networks(kind: Kind) -> None:
    actor, critics = kind.actor(), [q_network(1), q_network(1)]
    ours = kind.ours(actor, critics, MSE(), gamma=GAMMA, **kind.options)
    theirs = kind.theirs(actor, critics, loss_function="l2", **kind.options)
    theirs.make_value_estimator(gamma=GAMMA)
    assert_same_step(ours, theirs, continuous())


@pytest.mark.parametrize("value_type", [ValueEstimators.TD1, ValueEstimators.TDLambda])
def test_returns_of_many_steps(kind: Kind, value_type: ValueEstimators) -> None:
    ours, theirs = kind.pair(MSE(), "l2")
    for loss in (ours, theirs):
        loss.make_value_estimator(value_type, gamma=0.8)
    batch = continuous((4, 5))
    assert_same_step(ours, theirs, batch)
    two_hot, c51 = (kind.make(loss(-5, 5, K)) for loss in (TwoHot, C51))
    c51.load_state_dict(two_hot.state_dict())
    for loss in (two_hot, c51):
        loss.make_value_estimator(value_type, gamma=0.8)
    assert_same_step(c51, two_hot, batch)  # a return is a number


def test_gamma_is_set_as_in_torchrl(kind: Kind) -> None:
    ours, theirs = kind.pair(MSE(), "l2")
    for make in (
        lambda loss: loss.make_value_estimator(gamma=0.5),
        lambda loss: loss.make_value_estimator(ValueEstimators.TD0, gamma=0.4, average_rewards=True),
        lambda loss: loss.make_value_estimator(TD0Estimator, gamma=0.3, value_network=None),
    ):
        for loss in (ours, theirs):
            make(loss)
            loss.set_keys()  # tells a new estimator the keys
            loss.value_estimator.set_keys(value="state_value" if kind is SAC else "state_action_value")
        assert_same_step(ours, theirs, continuous())


def test_gamma_stays_and_is_assigned(kind: Kind) -> None:
    loss = kind.make(MSE(), gamma=0.7)
    for value_type in (ValueEstimators.TDLambda, ValueEstimators.TD0, TD0Estimator):
        network = {"value_network": None} if value_type is TD0Estimator else {}
        assert loss.make_value_estimator(value_type, **network) is loss
        assert loss.gamma == torch.tensor(0.7)
    loss.make_value_estimator()
    loss.gamma = 0.0
    batch = continuous()
    batch["next", "terminated"] = torch.zeros(B, 1).bool()
    without_future = step_of(loss, batch)["td_error"]
    loss.gamma = 0.7
    assert not torch.allclose(step_of(loss, batch)["td_error"], without_future)
    batch["next", "terminated"] = torch.ones(B, 1).bool()
    assert torch.allclose(step_of(loss, batch)["td_error"], without_future)
    with pytest.raises(ValueError, match=r"^gamma must be in \[0, 1\], got 2$"):
        loss.gamma = 2


def test_n_step_data_of_torchrls_multi_step(kind: Kind) -> None:
    batch = MultiStep(GAMMA, 3)(continuous((4, 6)))
    assert set(batch["steps_to_next_obs"].flatten().tolist()) == {1, 2, 3}
    assert_same_step(*kind.pair(MSE(), "l2"), batch)


def test_keys_can_be_set(kind: Kind) -> None:
    qvalue = ValueOperator(MLP(OBS + M, 1), in_keys=["observation", "action"], out_keys=["q"])
    actor, batch = kind.actor(), continuous()
    ours = kind.ours(actor, [qvalue, qvalue], MSE(), gamma=GAMMA, **kind.options)
    theirs = kind.theirs(actor, [qvalue, qvalue], loss_function="l2", **kind.options)
    theirs.make_value_estimator(gamma=GAMMA)
    for old, new in (("reward", "gain"), ("terminated", "over"), ("done", "end")):
        batch["next"].rename_key_(old, new)
    for loss in (ours, theirs):
        loss.set_keys(state_action_value="q", reward="gain", terminated="over", done="end")
    assert_same_step(ours, theirs, batch)
    ours.set_keys(priority="urgency")
    ours(batch)
    assert batch["urgency"].shape == (B,)
    assert set(ours.in_keys) == set(theirs.in_keys)
    assert ours.out_keys == theirs.out_keys


def test_keywords_and_out_keys(kind: Kind) -> None:
    ours, theirs = kind.pair(MSE(), "l2")
    keywords = {key.replace(".", "_"): x for key, x in continuous().flatten_keys(".").items()}
    for loss in (ours, theirs):
        loss.select_out_keys("loss_actor", "loss_qvalue")
    torch.manual_seed(3)
    got = ours(**keywords)
    torch.manual_seed(3)
    assert torch.allclose(torch.stack(got), torch.stack(theirs(**keywords)))


def critics_of(loss: Any, params: Any, following: Any) -> Tensor:
    """The critics' outputs [E, B, K], network by network."""
    outputs = []
    for e in range(loss.num_qvalue_nets):
        with params[e].to_module(loss.qvalue_network):
            outputs.append(loss.qvalue_network(following.clone())["state_action_value"])
    return torch.stack(outputs)


def next_state(loss: Any, batch: Any) -> tuple[Any, Tensor]:
    """The next state with the action that the loss takes there, and what its entropy is worth [B]."""
    following = batch["next"].select("observation")
    torch.manual_seed(3)
    if isinstance(loss, SACLoss):
        dist = loss.actor_network.get_dist(following)
        action = dist.rsample()
        return following.set("action", action), -loss.log_alpha.exp() * dist.log_prob(action)
    noise = (torch.randn_like(batch["action"]) * 0.2).clamp(-0.5, 0.5)
    with loss.target_actor_network_params.to_module(loss.actor_network):
        action = loss.actor_network(following)["action"]
    return following.set("action", (action + noise).clamp(-1, 1)), torch.zeros(B, dtype=torch.float64)


def pooled(outputs_EBK: Tensor, pool: str, centers_K: Tensor) -> Tensor:
    """The probabilities [B, K] of the critic with the lowest mean, or the mixture."""
    probs = outputs_EBK.softmax(-1)
    if pool == "mean":
        return probs.mean(0)
    lowest = (probs * centers_K).sum(-1).argmin(0)
    return torch.stack([probs[e, b] for b, e in enumerate(lowest.tolist())])


@pytest.mark.parametrize("pool", ["min", "mean"])
@pytest.mark.parametrize("value_loss", [HLGauss(-5, 5, K), TwoHot(-5, 5, K), C51(-5, 5, K)], ids=type)
def test_categorical_losses_are_the_formulas(kind: Kind, value_loss: Any, pool: str) -> None:
    options = {"alpha_init": 0.3} if kind is SAC else {}
    loss, batch = kind.make(value_loss, pool=pool, **options).double(), doubled(continuous())
    move_targets(loss)
    edges, centers = value_loss.support.grid(torch.float64)
    following, bonus = next_state(loss, batch)
    next_probs = pooled(critics_of(loss, loss.target_qvalue_network_params, following), pool, centers)
    discount = GAMMA * (1 - batch["next", "terminated"].double().squeeze(-1))
    reward = batch["next", "reward"].squeeze(-1) + discount * bonus
    target = reward + discount * (next_probs * centers).sum(-1)
    if isinstance(value_loss, C51):
        label = reference.c51_projection(next_probs, reward[:, None] + discount[:, None] * centers, centers)
    elif isinstance(value_loss, TwoHot):
        label = reference.two_hot_label(target, centers)
    else:
        label = reference.hl_gauss_label(target.clamp(-5, 5), edges, value_loss.sigma)
    outputs = critics_of(loss, loss.qvalue_network_params, batch.select("observation", "action"))
    want = sum(reference.cross_entropy(outputs_BK, label) for outputs_BK in outputs).mean()
    error = (target - reference.categorical_value(outputs, centers)).abs().amax(0)
    got = step_of(loss, batch)
    # Not to more places: gamma is a float32, as TorchRL's.
    assert torch.allclose(got["loss_qvalue"], want, rtol=1e-6)
    assert torch.allclose(got["td_error"], error if kind is SAC else error.square(), rtol=1e-6)
    assert got["loss_qvalue"].dtype == got["td_error"].dtype == torch.float64


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_teaches_the_right_networks(kind: Kind, name: str) -> None:
    loss = kind.make(make_value_loss(name))
    given = loss(continuous())
    of = {"loss_qvalue": "qvalue_network_params", "loss_actor": "actor_network_params"}
    for key, own in (of | ({"loss_alpha": "log_alpha"} if kind is SAC else {})).items():
        loss.zero_grad()
        given[key].backward(retain_graph=True)
        moved = {n for n, p in loss.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        assert moved == {n for n, _ in loss.named_parameters() if n.startswith(own)}
        assert all(p.grad is None or p.grad.isfinite().all() for p in loss.parameters())


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_trains(kind: Kind, name: str) -> None:
    options = {"fixed_alpha": True, "alpha_init": 0.01} if kind is SAC else {}
    values = train(kind.make(make_value_loss(name), **options), [continuous()] * 12, key="loss_qvalue")
    assert values[-1] < 0.95 * values[0]


@pytest.mark.parametrize("soft", [False, True])
def test_target_updaters_move_the_targets(kind: Kind, soft: bool) -> None:
    loss = kind.make(HLGauss(-5, 5, K))
    updater = SoftUpdate(loss, eps=0.75) if soft else HardUpdate(loss, value_network_update_interval=0)
    before = [p.detach().clone() for p in loss.parameters()]
    for p in loss.parameters():
        p.data.add_(1)
    updater.step()
    target = dict(loss.target_qvalue_network_params.named_buffers())
    for (key, p), old in zip(loss.named_parameters(), before, strict=True):
        if key.startswith("qvalue_network_params."):
            moved = target[key.removeprefix("qvalue_network_params.")] - old
            assert torch.allclose(moved, torch.tensor(0.25 if soft else 1.0), atol=1e-6)
            assert torch.allclose(p - old, torch.tensor(1.0), atol=1e-6)


def test_state_dict_round_trip(kind: Kind) -> None:
    first, second = (kind.make(HLGauss(-5, 5, K), gamma=gamma) for gamma in (GAMMA, 0.5))
    move_targets(first)
    second.load_state_dict(first.state_dict())
    assert_same_step(first, second, continuous())
    assert_same_step(first, copy.deepcopy(first), continuous())


def test_bfloat16(kind: Kind) -> None:
    loss = kind.make(HLGauss(-5, 5, K), gamma=0.99)
    single = loss(continuous())["loss_qvalue"]
    loss.to(torch.bfloat16)
    batch = continuous().apply(lambda x: x.bfloat16() if x.is_floating_point() else x)
    found = step_of(loss, batch)
    assert all(x.isfinite().all() for x in found.values())
    assert torch.allclose(found["loss_qvalue"].float(), single, rtol=0.05)
    assert loss.value_estimator.gamma == torch.tensor(0.99)
    assert {p.dtype for p in loss.parameters()} == {torch.bfloat16}


@pytest.mark.gpu
def test_device_follows(kind: Kind) -> None:
    loss = kind.make(HLGauss(-5, 5, K))
    on_cpu = loss(continuous())["loss_qvalue"]
    found = step_of(loss.to("cuda"), continuous().to("cuda"))
    assert {x.device.type for x in found.values()} == {"cuda"}
    assert torch.allclose(found["loss_qvalue"].cpu(), on_cpu, rtol=0.5)  # another stream of random numbers


def test_prioritised_replay_takes_the_error(kind: Kind) -> None:
    loss, full = kind.make(HLGauss(-5, 5, K)), continuous()
    loss(full)
    options = {"alpha": 1.0, "beta": 1.0, "eps": 0.0, "batch_size": 8, "priority_key": "td_error"}
    buffer = rl.TensorDictPrioritizedReplayBuffer(storage=rl.LazyTensorStorage(B), **options)
    buffer.extend(full)
    sample = buffer.sample()
    loss(sample)
    buffer.update_tensordict_priority(sample)
    assert loss(buffer.sample())["loss_qvalue"].isfinite()


@pytest.mark.parametrize("where", ["observation", "reward"])
def test_nan_in_nan_out(kind: Kind, where: str) -> None:
    options = {"reduction": "none", **({"scalar_output_mode": "exclude"} if kind is SAC else {})}
    loss, batch = kind.make(HLGauss(-5, 5, K), **options), continuous()
    batch["next", "terminated"][5] = False
    batch["next", where][5] = math.nan
    assert loss(batch)["loss_qvalue"].isnan().nonzero().flatten().tolist() == [5]


def test_bad_arguments_are_named(kind: Kind) -> None:
    name = kind.ours.__name__
    with pytest.raises(TypeError, match=r"^value_loss must be a catzoo.losses.ValueLoss, got MSELoss\(\)$"):
        kind.ours(kind.actor(), q_network(1), nn.MSELoss(), **kind.options)
    with pytest.raises(ValueError, match=r"^pool must be 'min' or 'mean', got 'max'$"):
        kind.make(MSE(), pool="max")
    with pytest.raises(ValueError, match=r"^gamma must be in \[0, 1\], got 99$"):
        kind.make(MSE(), gamma=99)
    with pytest.raises(TypeError, match=rf"^{name} takes no loss_function: value_loss scores the critics$"):
        kind.make(MSE(), loss_function="l2")
    with pytest.raises(TypeError, match=rf"^{name} takes no value_network: it is the one of SAC's first"):
        kind.make(MSE(), value_network=TensorDictModule(nn.Linear(OBS, 1), ["observation"], ["state_value"]))


def test_wrong_entries_are_named(kind: Kind) -> None:
    loss, batch = kind.make(TwoHot(-5, 5, K)), continuous()
    wide = kind.ours(kind.actor(), q_network(K + 1), TwoHot(-5, 5, K), **kind.options)
    assert refusal_of(wide, batch) == "'state_action_value' must have shape [*batch, 21], got [16, 22]"
    missing = refusal_of(loss, continuous().exclude(("next", "reward")))
    assert missing.startswith("no ('next', 'reward') in the tensordict, which has ('next', 'done'), ")
    batch["next", "reward"] = torch.zeros(B)
    assert refusal_of(loss, batch) == "('next', 'reward') must have shape [*batch, 1], got [16]"
    batch["next", "reward"] = torch.zeros(B, 2, 1)
    assert refusal_of(loss, batch) == "('next', 'reward') must have shape [16, 1], got [16, 2, 1]"
