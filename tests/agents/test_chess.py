"""The chess agent: the mean over a position's own moves, weights that follow, and only legal moves."""

from types import SimpleNamespace

import gymnasium as gym
import pytest
import torch

from catzoo.agents import Chess
from catzoo.agents.from_recipe import build_network, build_value_loss
from catzoo.agents.learning.learner import Learner
from catzoo.agents.networks.board_transformer import OBSERVATION, flat
from catzoo.agents.replay import PositionReplay, write_dataset
from catzoo.hparams import ChessRecipe, RecipeError, build
from catzoo.hparams.value_losses import VALUE_LOSSES
from catzoo.losses import make_value_loss
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.environments.chess_board import DRAWS
from catzoo.zoo.training.build import build_trainer
from positions_for_tests import random_positions, written_positions

GAMES = SimpleNamespace(single_observation_space=gym.spaces.Box(0, 255, OBSERVATION, "uint8"))
"""What a network is built for."""


def agent_of(loss="mse", average=0.5, size=16, name="transformer"):
    torch.manual_seed(0)
    bins = {"v_min": 0.0, "v_max": 1.0, "num_bins": 16}
    value_loss = make_value_loss(loss, **(bins if "v_min" in VALUE_LOSSES[loss].keys else {}))
    network = {"name": name, "size": size, "num_layers": 1}
    recipe = build(ChessRecipe, {"agent": "chess", "average": average, "network": network}, where="test")
    return Chess(build_network(recipe, GAMES, value_loss), value_loss, recipe)


def batch_of(tmp_path, moves=None, size=16, seed=0):
    replay = PositionReplay(written_positions(tmp_path / "data", 40), moves=moves, seed=seed)
    return replay.sample(size)[0].at(0)


@pytest.mark.parametrize("loss", list(VALUE_LOSSES))
def test_the_loss_is_the_mean_over_a_position_s_own_moves(tmp_path, loss):
    agent, batch = agent_of(loss), batch_of(tmp_path)
    loss_B, error_B = agent.critic_loss(batch)
    for b in (0, 5):
        live = batch.live[b]
        outputs = agent.network(batch.board[b : b + 1], batch.action[b : b + 1, live])
        torch.testing.assert_close(loss_B[b], agent.value_loss(outputs, batch.value[b : b + 1, live]).mean())
    assert error_B.shape == (16,)
    chosen, target = agent.chosen_and_targets(batch)
    assert chosen.shape == (int(batch.live.sum()), agent.value_loss.num_outputs)
    assert target.shape == chosen.shape[:1]


def test_padding_teaches_nothing(tmp_path):
    agent, batch = agent_of(), batch_of(tmp_path)
    padded = batch._replace(value=batch.value.masked_fill(~batch.live, 9.0))
    grads = [
        torch.autograd.grad(agent.critic_loss(one)[0].mean(), list(agent.network.parameters()))
        for one in (batch, padded)
    ]
    assert all(torch.equal(one, other) for one, other in zip(*grads, strict=True))


def test_what_acts_follows_what_learns(tmp_path):
    agent = agent_of(average=0.75)
    first = [parameter.clone() for parameter in agent.average.parameters()]
    learner = Learner(agent.steps(), eps=1e-8, after=agent.follow)
    learner.learn_once(batch_of(tmp_path))
    for before, now, learned in zip(
        first, agent.average.parameters(), agent.network.parameters(), strict=True
    ):
        torch.testing.assert_close(now, before + 0.25 * (learned - before))
    assert all(step.name == "critic" for step in agent.steps())


@pytest.mark.parametrize(("name", "size", "updates"), [("transformer", 16, 150), ("after_states", 32, 600)])
def test_it_learns_which_square_to_go_to(tmp_path, name, size, updates):
    agent = agent_of(average=0.9, name=name, size=size)
    replay = PositionReplay(written_positions(tmp_path / "data", 40), moves=8)
    learner = Learner([agent.steps()[0]._replace(lr=3e-3)], eps=1e-8, after=agent.follow)
    losses, _ = learner.learn(replay.sample(16, updates)[0])
    assert losses["critic"][-20:].mean() < 0.1 * losses["critic"][:5].mean()


def observation_of(moves, padding=4):
    board = torch.zeros(1, 70, dtype=torch.uint8)
    return flat(board, torch.tensor([[*moves, *[[0, 0, 0]] * padding]], dtype=torch.uint8))


def test_only_legal_moves_are_made():
    agent = agent_of()
    agent.average.last.bias.data.fill_(-5.0)  # any padding would be better
    agent.average.last.weight.data.fill_(0.0)
    observation = observation_of([[8, 16, 0], [8, 24, 0]])
    values = agent.values(observation)[0]
    assert (values[2:] == -torch.inf).all()
    assert int(agent.act(observation)) < 2
    policy = agent.policy(gym.spaces.Discrete(218), seed=1)
    policy.epsilon = 1.0
    drawn = {int(policy(observation)[0]) for _ in range(40)}
    assert drawn == {0, 1}
    policy.epsilon = 0.0
    assert policy(observation)[0] == int(agent.act(observation))


def test_a_repetition_counts_as_a_draw():
    agent = agent_of()
    observation = observation_of([[8, 16, 0], [8, 24, DRAWS]])
    for value, chosen in ((0.4, 1), (0.6, 0)):
        agent.average.last.weight.data.fill_(0.0)
        agent.average.last.bias.data.fill_(value)
        assert int(agent.act(observation)) == chosen
    assert agent.values(observation)[0, 1] == 0.5


@pytest.mark.parametrize(
    ("best", "less", "clock", "chosen"),
    [
        (0.95, 0.01, 0, "pawn"),
        (0.8, 0.01, 0, "king"),
        (0.95, 0.05, 0, "king"),
        (0.95, 0.05, 40, "pawn"),
    ],
)
def test_progress_counts_where_the_game_is_won(best, less, clock, chosen):
    agent = agent_of()
    observation = observation_of([[4, 12, 0], [8, 16, 0], [3, 59, 0]])  # king, pawn, a queen that takes
    observation[0, [4, 8, 3, 59, 69]] = torch.tensor([6, 1, 5, 11, clock], dtype=torch.uint8)
    values = torch.tensor([[best, best - less, best - 2 * less, *[-1.0] * 4]])
    order = agent._preferred(observation, values).argsort(descending=True)[0].tolist()
    assert ["king", "pawn", "queen"][order[0]] == chosen
    assert order[:2] == ([1, 2] if clock else order[:2])


@pytest.mark.parametrize("clock", [0, 10, 80])
def test_nothing_comes_before_a_mate_in_sight(clock):
    agent = agent_of()
    observation = observation_of([[4, 12, 0], [8, 16, 0], [3, 59, 0]])
    observation[0, [4, 8, 3, 59, 69]] = torch.tensor([6, 1, 5, 11, clock], dtype=torch.uint8)
    values = torch.tensor([[1.0, 0.998, 0.97, *[-1.0] * 4]])
    assert agent._preferred(observation, values).argsort(descending=True)[0, :3].tolist() == [0, 1, 2]


def test_a_game_that_is_over_has_finite_outputs():
    agent = agent_of("hl_gauss")
    outputs, action = agent.appraise(torch.zeros(2, *OBSERVATION, dtype=torch.uint8))
    assert outputs.isfinite().all()
    assert action.tolist() == [0, 0]


def test_a_window_of_moves_is_drawn_from_all(tmp_path):
    dataset = written_positions(tmp_path / "data", 3)
    replay = PositionReplay(dataset, moves=4, seed=0)
    batches, index = replay.sample(64, 2)
    assert batches.action.shape == (2, 64, 4, 3)
    torch.testing.assert_close(batches.value, (batches.action[..., 1] / 63) * batches.live)
    number = dataset.columns["offset"].diff(prepend=torch.zeros(1, dtype=torch.int64))
    assert torch.equal(batches.live.sum(-1), number[index].clamp(max=4))
    one = int(number.argmax())
    seen = {tuple(move) for move in batches.action[index == one].flatten(0, 1).tolist()}
    ends = dataset.columns["offset"]
    every = {tuple(move) for move in dataset.columns["move"][ends[one] - number[one] : ends[one]].tolist()}
    assert seen == every
    again = PositionReplay(dataset, moves=4, seed=0).sample(64, 2)[0]
    assert torch.equal(again.action, batches.action)


@pytest.mark.parametrize(
    ("preset", "millions"), [(None, 0.9), ("transformer", 0.4), ("paper-9m", 9), ("paper-270m", 270)]
)
def test_the_recipes_have_the_sizes_that_they_say(preset, millions):
    recipe = find_recipe("chess", "chess/random", preset=preset)
    with torch.device("meta"):
        network = build_network(recipe, GAMES, build_value_loss(recipe))
    assert sum(one.numel() for one in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.3)


def test_keys_are_checked():
    with pytest.raises(ValueError, match="moves"):
        build(ChessRecipe, {"moves": 0}, where="test")
    with pytest.raises(ValueError, match="average"):
        build(ChessRecipe, {"average": 1.0}, where="test")


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [("board", 0, 13), ("board", 67, 2), ("board", 68, 9), ("move", 0, 64), ("move", 1, 64), ("move", 2, 6)],
)
def test_bytes_that_cannot_be_are_one_line(tmp_path, name, place, value):
    columns = random_positions(4)
    columns[name][-1, place] = value
    with pytest.raises(RecipeError, match=f"{name} holds numbers that cannot be"):
        work_on(tmp_path, columns)


@pytest.mark.parametrize(("name", "size"), [("board", 69), ("move", 2)])
def test_rows_of_another_shape_are_one_line(tmp_path, name, size):
    columns = random_positions(4)
    columns[name] = columns[name][:, :size].contiguous()
    with pytest.raises(RecipeError, match=rf"{name} is \[{size}\] in each row, not \[{size + 1}\]"):
        work_on(tmp_path, columns)


def work_on(folder, columns):
    pytest.importorskip("chess")
    write_dataset(folder, "positions", columns, {"env": "chess"}, ragged=("move", "value"))
    return build_trainer(
        find_recipe(
            "chess", "chess/random", overrides=[{"dataset": str(folder)}, {"compute": {"device": "cpu"}}]
        )
    )
