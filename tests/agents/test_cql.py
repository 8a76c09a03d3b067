"""CQL: its conservative term against the formula in float64, SARSA's target, runs without environments."""

from types import SimpleNamespace

import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import nn

from catzoo.agents import CQL, DQN, AtWork, Checkpoints, Dataset, QNetwork, Transitions
from catzoo.hparams import CQLRecipe, DQNRecipe, RecipeError, build
from catzoo.losses import LOSSES, CategoricalLoss, HLGauss, ScalarLoss, make_value_loss
from datasets_for_tests import Anything, Parity, recorded
from environments_for_tests import Left

S, A, B = 12, 4, 32
"""States, actions, batch."""


class Table(nn.Module):
    """Outputs of its own for every state and action."""

    def __init__(self, num_outputs):
        super().__init__()
        self.outputs = nn.Parameter(torch.randn(S, A, num_outputs))

    def forward(self, state):
        return self.outputs[state]


def made(name, **options):
    """A CQL agent on a table, whose target is another table."""
    torch.manual_seed(0)
    loss = make_value_loss(name, **(SUPPORT if issubclass(LOSSES[name], CategoricalLoss) else {}))
    agent = CQL(Table(loss.num_outputs), loss, CQLRecipe(**options))
    nn.init.normal_(agent.target.outputs)
    return agent


SUPPORT = {"v_min": -2.0, "v_max": 3.0, "num_bins": 9}


def batch():
    torch.manual_seed(1)
    following = torch.randint(A, (B,))
    discount = 0.9 * (torch.rand(B) < 0.7).float()
    return Transitions(
        torch.randint(S, (B,)), torch.randint(A, (B,)), torch.randn(B), discount,
        torch.randint(S, (B,)), next_action=following,
    )  # fmt: skip


def values(agent, outputs):
    """Decoded means in float64, by the formula."""
    if not isinstance(agent.value_loss, CategoricalLoss):
        return outputs.double().mean(-1)
    centers = agent.value_loss.support.centers.double()
    return (outputs.double().softmax(-1) * centers).sum(-1)


def gradient(agent, loss_B):
    return torch.autograd.grad(loss_B.sum(), agent.network.outputs)[0]


@pytest.mark.parametrize("name", ["mse", "two_hot", "hl_gauss", "c51"])
def test_the_conservative_term_moves_a_value_by_the_variance_of_its_distribution(name):
    """By half the weight under MSE, whose head has no distribution."""
    weight, reward = 0.3, 0.6
    agent = made(name, cql_weight=weight).to(torch.float64)
    outputs, other = agent.network.outputs, agent.network.outputs.detach().clone()
    data = Transitions(
        torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long), torch.tensor([reward]).double(),
        torch.zeros(1).double(), torch.zeros(1, dtype=torch.long),
    )  # fmt: skip
    optimizer = torch.optim.LBFGS([outputs], max_iter=2_000, tolerance_grad=1e-10, tolerance_change=1e-14)

    def step():
        optimizer.zero_grad()
        loss = agent.critic_loss(data)[0].sum()
        loss.backward()
        outputs.grad[:, 1:] = 0.0  # the other actions stay where they are
        return loss

    optimizer.step(step)
    assert torch.equal(outputs[:, 1:], other[:, 1:])
    value_A = values(agent, outputs.detach()[0])
    if name == "mse":
        spread = 0.5
    else:
        distance = agent.value_loss.support.centers.double() - value_A[0]
        spread = (outputs.detach()[0, 0].softmax(-1) * distance**2).sum()
    pull = weight * (1 - value_A.softmax(-1)[0])
    assert torch.isclose(value_A[0] - reward, pull * spread, rtol=1e-3)


def learned(name, strength, rewards):
    """What CQL learns of one state's actions, of which the data has the first with these rewards."""
    agent = made(name, cql_strength=strength).to(torch.float64)
    outputs, zeros = agent.network.outputs, torch.zeros(len(rewards), dtype=torch.long)
    with torch.no_grad():
        outputs.copy_(agent.value_loss.initial_outputs(0.5).expand_as(outputs))
    data = Transitions(zeros, zeros, torch.tensor(rewards).double(), zeros.double(), zeros)
    optimizer = torch.optim.Adam([outputs], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 250)
    for _ in range(250):
        optimizer.zero_grad()
        agent.critic_loss(data)[0].mean().backward()
        outputs.grad[:, 1:] = 0.0  # the other actions stay where they are
        optimizer.step()
        schedule.step()
    return values(agent, outputs.detach()[0])


@pytest.mark.parametrize(
    ("name", "rewards"),
    [
        *((name, [0.6]) for name in LOSSES),
        *((name, [-0.5, 1.5, 1.5]) for name in ("mse", "two_hot", "hl_gauss", "c51")),
    ],
)
def test_a_strength_is_the_height_with_every_loss(name, rewards):
    strength = 0.2
    without, value_A = (learned(name, some, rewards) for some in (0.0, strength))
    height = (value_A - without)[0] / (1 - value_A.softmax(-1)[0])
    assert height == pytest.approx(strength, rel=0.03)


def test_a_strength_is_a_weight_of_twice_as_much_with_mse():
    data = batch()
    strong, heavy = made("mse", cql_strength=0.3), made("mse", cql_weight=0.6)
    ours, theirs = (gradient(agent, agent.critic_loss(data)[0]) for agent in (strong, heavy))
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_strength_beside_a_weight_is_refused():
    with pytest.raises(
        RecipeError, match=r"^cql_weight=0.5 and cql_strength=0.2 exclude each other: give one"
    ):
        build(CQLRecipe, {"cql_weight": 0.5, "cql_strength": 0.2}, where="test")
    assert build(CQLRecipe, {"cql_strength": 0.2}, where="test").cql_strength == 0.2


def test_a_strength_needs_a_loss_that_says_its_curvature():
    class Own(ScalarLoss):
        def forward(self, outputs, target):
            return self.error(outputs, target).abs()

    with pytest.raises(RecipeError, match=r"^cql_strength: Own does not say its curvature: give cql_weight$"):
        CQL(Table(1), Own(), CQLRecipe(cql_strength=0.1))
    CQL(Table(1), Own(), CQLRecipe())


@pytest.mark.parametrize("bootstrap", ["max", "sarsa"])
@pytest.mark.parametrize("name", LOSSES)
def test_the_conservative_term_and_its_gradient(name, bootstrap):
    data, weight = batch(), 0.7
    results = {}
    for cql_weight in (0.0, weight):
        agent = made(name, bootstrap=bootstrap, double=True, cql_weight=cql_weight)
        loss_B, td_error_B = agent.critic_loss(data)
        results[cql_weight] = loss_B.detach(), td_error_B, gradient(agent, loss_B)
    value_BA = values(agent, agent.network(data.observation))
    gap_B = value_BA.exp().sum(-1).log() - value_BA[torch.arange(B), data.action]
    expected = torch.autograd.grad(gap_B.sum(), agent.network.outputs)[0]
    (plain_B, error_B, plain), (loss_B, same_B, whole) = results[0.0], results[weight]
    assert torch.allclose((loss_B - plain_B).double(), weight * gap_B.detach(), atol=1e-5)
    assert torch.allclose(whole - plain, weight * expected.float(), atol=1e-5)
    assert expected.abs().max() > 0.01
    assert torch.equal(error_B, same_B)


@pytest.mark.parametrize("name", LOSSES)
def test_sarsas_target_is_the_datas_next_action(name):
    data, agent = batch(), made(name, bootstrap="sarsa", cql_weight=0.0, double=True)
    rows = torch.arange(B)
    with torch.no_grad():
        chosen_B = values(agent, agent.network(data.observation))[rows, data.action]
        next_B = values(agent, agent.target(data.next_observation))[rows, data.next_action]
        target_B = data.reward + data.discount * next_B
    loss_B, td_error_B = agent.critic_loss(data)
    assert torch.allclose(td_error_B.double(), target_B - chosen_B, atol=1e-5)
    # Double Q-learning whose online network wants nothing but the data's actions comes to the same.
    wish_BAK = torch.full_like(agent.network(data.observation), -1.0)
    if isinstance(agent.value_loss, CategoricalLoss):
        wish_BAK *= 10.0
        wish_BAK[..., :-1] *= -1.0
    wish_BAK[rows, data.next_action] *= -1.0
    outputs_BAK = agent.network(data.observation)
    expected_B, error_B = agent.value_loss.td(
        outputs_BAK, data.action, agent.target(data.next_observation), data.reward, data.discount,
        next_online_outputs=wish_BAK.detach(),
    )  # fmt: skip
    assert torch.allclose(td_error_B, error_B, atol=1e-5)
    assert torch.allclose(loss_B, expected_B, atol=1e-5)
    assert torch.allclose(gradient(agent, loss_B), gradient(agent, expected_B), atol=1e-5)


@pytest.mark.parametrize("double", [False, True])
def test_max_is_dqns_step(double):
    data, agent = batch(), made("hl_gauss", double=double, cql_weight=0.0)
    dqn = DQN(agent.network, agent.value_loss, DQNRecipe(double=double))
    dqn.target = agent.target
    expected = dqn.critic_loss(data)
    assert all(
        torch.equal(own, theirs) for own, theirs in zip(agent.critic_loss(data), expected, strict=True)
    )


def test_what_is_not_finite_stays_so():
    agent = made("mse")
    agent.network.outputs.data[3, 2] = float("nan")
    data = batch()._replace(observation=torch.full((B,), 3))
    assert agent.critic_loss(data)[0].isnan().all()


def test_another_bootstrap_is_refused():
    with pytest.raises(RecipeError, match="must be one of max, sarsa"):
        build(CQLRecipe, {"bootstrap": "min"}, where="test")


def trainer(corridor, *folders, seed=0, loss=None, total_steps=400, **changes):
    """A CQL agent at work on a recorded dataset of corridors, or on several."""
    torch.manual_seed(seed)
    loss = loss or HLGauss(-10, 40, 21)
    keys = {
        "steps": total_steps,
        "batch_size": 16,
        "gamma": 0.5,
        "target_update_every": 10,
        "log_every": 50,
        "optimizer": {"lr": 3e-3, "eps": 1e-8},
    }
    recipe = build(CQLRecipe, keys | changes, where="test")
    agent = CQL(QNetwork((1,), 2, loss.num_outputs, hidden=(32,)), loss, recipe)
    return AtWork(agent, corridor(), seed=seed, datasets=[Dataset(folder) for folder in folders])


def weights(work):
    return torch.cat([parameter.detach().flatten() for parameter in work.agent.parameters()])


def finish(work):
    while work.steps < work.total_steps:
        work.iterate()
    return work


@pytest.mark.parametrize("bootstrap", ["max", "sarsa"])
def test_it_learns_the_values_of_a_corridor(corridor, tmp_path, bootstrap):
    policy = {"max": Anything(), "sarsa": Parity()}[bootstrap]
    recorded(tmp_path, corridor, number=100, policy=policy)
    work = finish(
        trainer(corridor, tmp_path, total_steps=1200, cql_weight=0.0, bootstrap=bootstrap, double=True)
    )
    states = torch.arange(7.0)
    values = work.agent.value_loss.decode(work.agent.network(states[:, None])).detach()
    expected = [0.0] * 8  # the shorter corridor ends half of the visits to state 4
    for t in reversed(range(7)):
        expected[t] = t + 1 + 0.5 * expected[t + 1] * (0.5 if t == 4 else 1.0)
    taken = values[torch.arange(7), states.long() % 2]  # of the others SARSA's data says nothing
    assert torch.allclose(taken, torch.tensor(expected[:7]), atol=1.5)


def test_it_is_conservative_about_what_the_data_does_not_do(corridor, tmp_path):
    recorded(tmp_path, corridor, number=30, policy=Left())
    work = finish(trainer(corridor, tmp_path, total_steps=300, cql_weight=1.0))
    values = work.agent.value_loss.decode(work.agent.network(torch.arange(5.0)[:, None]))
    assert (values[:, 0] > values[:, 1] + 1).all()


def test_steps_are_updates_and_no_environment_is_stepped(corridor, tmp_path, monkeypatch):
    recorded(tmp_path, corridor)
    work = trainer(corridor, tmp_path, total_steps=130)
    monkeypatch.setattr(work.feed.env, "step", None)  # a call would raise
    monkeypatch.setattr(work.feed.env, "reset", None)
    copies = 0
    while work.steps < 130:
        before = weights(work)
        work.iterate()
        assert work.steps == work.updates
        copies += work.updates % 10 == 0
        assert not torch.equal(before, weights(work))
        online, target = (torch.cat([p.flatten() for p in part.parameters()])
                          for part in (work.agent.network, work.agent.target))  # fmt: skip
        assert torch.equal(online, target) == (work.updates % 10 == 0)
    assert (work.steps, copies) == (130, 13)
    assert set(work.metrics) == {
        "train/updates", "train/loss", "train/td_error", "time/steps_per_second",
    }  # fmt: skip
    work.close()


@pytest.mark.parametrize("names", [["data"], ["data", "more", "most"]])
@pytest.mark.parametrize("moments", [(10,), (64, 100), (7, 65, 128)])
def test_it_goes_on_bit_for_bit(corridor, tmp_path, names, moments):
    for number, name in enumerate(names, 1):
        recorded(tmp_path / name, corridor, number=10 * number)
    folders = [tmp_path / name for name in names]
    options = {"seed": 3, "reward_noise": 0.5, "target_update_every": 100, "reset_every": 90}
    whole = finish(trainer(corridor, *folders, total_steps=200, **options))
    work = trainer(corridor, *folders, total_steps=200, **options)
    for moment in moments:
        work.total_steps = moment
        finish(work)
        Checkpoints(tmp_path / "saved", work).save()
        work.total_steps = 200
        work.iterate()  # lost, and done again
        torch.rand(3)
        work = trainer(corridor, *folders, total_steps=200, **options)
        assert Checkpoints(tmp_path / "saved", work).restore() == moment
        assert work.resumed
    finish(work)
    assert torch.equal(weights(work), weights(whole))
    assert work.metrics.keys() == whole.metrics.keys()


def test_another_dataset_is_another_run(corridor, tmp_path):
    for name, share in (("one", 1.0), ("other", 0.5)):
        recorded(tmp_path / name, corridor, share)
    work = finish(trainer(corridor, tmp_path / "one", total_steps=20))
    Checkpoints(tmp_path / "saved", work).save()
    with pytest.raises(Exception, match="it learned from another dataset"):
        Checkpoints(tmp_path / "saved", trainer(corridor, tmp_path / "other")).restore()


def test_a_dataset_must_be_there_and_fit(corridor, tmp_path):
    recorded(tmp_path / "data", corridor)
    with pytest.raises(ValueError, match="needs a dataset"):
        trainer(corridor)
    work = trainer(corridor, tmp_path / "data")
    for shape, actions, words in (((1,), 3, "2 actions, not 3"), ((4,), 2, r"are \[1\], not \[4\]")):
        spaces = {"single_observation_space": Box(0, 1, shape), "single_action_space": Discrete(actions)}
        with pytest.raises(ValueError, match=words):
            AtWork(work.agent, SimpleNamespace(**spaces), datasets=[Dataset(tmp_path / "data")])


def test_several_datasets_must_fit_into_the_spaces(corridor, tmp_path):
    recorded(tmp_path / "data", corridor)
    agent, data = trainer(corridor, tmp_path / "data").agent, [Dataset(tmp_path / "data")] * 2
    for shape, actions, words in (
        ((1, 1), 2, r"observations are \[1\], not within \[1, 1\]"),
        ((0,), 2, r"observations are \[1\], not within \[0\]"),
        ((4,), 1, "2 actions, not 1"),
    ):
        spaces = {"single_observation_space": Box(0, 1, shape), "single_action_space": Discrete(actions)}
        with pytest.raises(ValueError, match=words):
            AtWork(agent, SimpleNamespace(**spaces), datasets=data)
    spaces = {"single_observation_space": Box(0, 1, (4,)), "single_action_space": Discrete(3)}
    work = AtWork(agent, SimpleNamespace(**spaces), datasets=data)
    assert work.feed.replay.sample(8)[0].observation.shape == (1, 8, 4)
