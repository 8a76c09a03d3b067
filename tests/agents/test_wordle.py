"""Wordle's agent: letters of words only, a Bellman step from choice to choice, nothing after a game's end."""

import pytest
import torch

from catzoo.agents import AGENTS
from catzoo.agents.learning.batches import Sequences
from catzoo.agents.networks.token_q_network import READ, TokenQNetwork, prefixes
from catzoo.agents.replay import read_dataset, write_dataset
from catzoo.hparams import RecipeError, WordleRecipe
from catzoo.losses import MSE, ValueLoss
from catzoo.zoo.datasets.wordle_games import make_wordle_games
from catzoo.zoo.environments.wordle_rules import words_of
from catzoo.zoo.training.build import build_agent, build_env, build_trainer
from catzoo.zoo.training.train import recipe_of

WORDS = ["crane", "craft", "stray"]


@pytest.fixture(scope="module")
def games(tmp_path_factory):
    folder = tmp_path_factory.mktemp("games")
    make_wordle_games("wordle/40", folder, games=60, quality=0.5)
    columns = read_dataset(folder).columns
    return Sequences(*(columns[name] for name in Sequences._fields))


def make(loss="hl_gauss", **changes):
    recipe = recipe_of("wordle", "wordle/40", loss=loss, overrides=[{"network": {"size": 16}}, changes])
    return build_agent(recipe, build_env(recipe, 1))


def test_letters_are_those_that_some_word_goes_on_with():
    branches, goes_on = prefixes(WORDS)
    at = 0
    for letter, following in (("c", "r"), ("r", "a"), ("a", "fn"), ("f", "t")):
        at = branches[at, ord(letter) - 97]
        allowed = {chr(97 + i) for i in goes_on[at].nonzero().flatten().tolist()}
        assert allowed == set(following)
    assert goes_on[0].nonzero().flatten().tolist() == [2, 18]
    assert branches[0, 0] == 1  # no word begins with an a
    assert goes_on[1].all()


def test_acting_is_training_one_choice_at_a_time(games):
    torch.manual_seed(0)
    agent = make()
    network = agent.network
    whole, allowed = network.choices(games.tokens), network.allowed_choices(games.action)
    for choice in (0, 1, 4, 5, 7, 14):
        live = games.action[:, choice] >= 0
        seen = games.tokens.clone()
        seen[:, 1 + choice // 5 * 10 + choice % 5 :] = 0  # before this letter was chosen
        assert torch.allclose(network(seen)[live], whole[live, choice], atol=1e-4)
        assert torch.equal(network.allowed(seen)[live], allowed[live, choice])


def test_choices_read_all_that_the_last_of_them_sees(games):
    network = make().network
    whole = network._outputs(network.transformer(network.embed(games.tokens.long()))[:, network.places])
    assert torch.allclose(network.choices(games.tokens), whole, atol=1e-6)
    assert int(network.places.max()) == READ - 1


def test_the_data_spell_allowed_letters(games):
    allowed, live = make().network.allowed_choices(games.action), games.action >= 0
    assert allowed.gather(-1, games.action.long().clamp(min=0)[..., None])[..., 0][live].all()
    assert make(masked=False).network.allowed_choices(games.action).all()


class Table(TokenQNetwork):
    """Values that are told, [B, 30, 26, 1], whatever the game."""

    def choices(self, tokens):
        return self.table


@pytest.mark.parametrize("masked", [True, False])
def test_targets_are_the_best_allowed_value_at_the_next_choice(masked):
    network = Table(WORDS, 1, size=4, masked=masked)
    torch.manual_seed(0)
    network.table = torch.randn(2, 30, 26, 1)
    agent = AGENTS["wordle"](network, MSE(), WordleRecipe(env="wordle/40", cql_weight=0.0, masked=masked))
    agent.target.table = torch.randn(2, 30, 26, 1)
    words = torch.tensor([[ord(letter) - 97 for letter in word] for word in WORDS])
    action = torch.full((2, 30), -1, dtype=torch.int8)
    action[0, :10] = words[:2].flatten()
    action[1] = words.repeat(2, 1).flatten()
    reward = torch.zeros(2, 30)
    reward[:, 4] = reward[1, 29] = -1
    loss, error = agent.critic_loss(Sequences(torch.zeros(2, 61, dtype=torch.uint8), action, reward))
    allowed = network.allowed_choices(action)
    lengths = (10, 30)
    for game, length in enumerate(lengths):
        for choice in range(30):
            if choice >= length:
                assert loss[game, choice] == error[game, choice] == 0
                continue
            target = reward[game, choice]
            if choice + 1 < length:
                values = agent.target.table[game, choice + 1, :, 0]
                target = target + values[allowed[game, choice + 1]].max()
            value = network.table[game, choice, action[game, choice].long(), 0]
            assert error[game, choice] == pytest.approx(float(target - value), abs=1e-5)
    assert loss.mean().item() == pytest.approx(float(error.square().sum() / sum(lengths)), rel=1e-4)


@pytest.mark.parametrize("loss", ["mse", "hl_gauss", "two_hot", "c51", "quantile", "one_hot"])
def test_it_begins_at_the_initial_value_and_learns_with_every_loss(games, loss):
    torch.manual_seed(0)
    agent = make(loss)
    values = agent.value_loss.decode(agent.network.choices(games.tokens)).detach()
    assert values.mean().item() == pytest.approx(-3.0, abs=0.4)  # 0.05 of the range
    loss_BT, error_BT = agent.critic_loss(games)
    assert loss_BT.shape == error_BT.shape == (60, 30)
    gradients = torch.autograd.grad(loss_BT.mean(), list(agent.network.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)
    chosen, target = agent.chosen_and_targets(games)
    assert len(chosen) == len(target) == int((games.action >= 0).sum())


def test_it_plays_words_of_its_list(games):
    agent = make()
    env = build_env(agent.recipe, 2)
    policy = agent.policy(env.single_action_space)
    policy.epsilon = 0.0
    observation, _ = env.reset(seed=0)
    spelled = []
    for _ in range(5):
        action = policy(torch.from_numpy(observation))
        assert action.tolist() == agent.act(torch.from_numpy(observation)).tolist()
        spelled.append(action)
        observation, *_ = env.step(action)
    for word in zip(*spelled, strict=True):
        assert "".join(chr(97 + int(letter)) for letter in word) in words_of(40)


def test_it_needs_words():
    recipe = recipe_of("wordle", "CartPole-v1")
    with pytest.raises(RecipeError, match="wordle needs an environment with words, such as wordle/200"):
        build_agent(recipe, build_env(recipe, 1))


def test_a_strength_needs_a_curvature():
    class Bare(MSE):
        curvature, unit_push = ValueLoss.curvature, ValueLoss.unit_push

    with pytest.raises(RecipeError, match="cql_strength: Bare does not say its curvature"):
        AGENTS["wordle"](Table(WORDS, 1, size=4), Bare(), WordleRecipe(cql_strength=0.1))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("tokens", lambda column: column + 106, "tokens holds numbers that cannot be"),
        ("action", lambda column: column.clamp(min=26), "action holds numbers that cannot be"),
        ("action", lambda column: column - 1, "action holds numbers that cannot be"),
        ("reward", lambda column: column * torch.nan, "reward holds numbers that cannot be"),
        ("tokens", lambda column: column[:, :60], r"tokens is \[60\] in each row, not \[61\]"),
        ("action", lambda column: column[:, :29], r"action is \[29\] in each row, not \[30\]"),
        ("reward", lambda column: column[:, :1], r"reward is \[1\] in each row, not \[30\]"),
    ],
)
def test_games_that_cannot_be_are_one_line(tmp_path, name, change, words):
    make_wordle_games("wordle/40", tmp_path / "own", games=4)
    own = read_dataset(tmp_path / "own")
    columns = {**own.columns, name: change(own.columns[name]).contiguous()}
    about = {key: own.manifest[key] for key in ("env", "protocol")}
    write_dataset(tmp_path / "data", "sequences", columns, about)
    said = [f"dataset={tmp_path / 'data'}", "compute.device=cpu"]
    with pytest.raises(RecipeError, match=words):
        build_trainer(recipe_of("wordle", "wordle/40", overrides=said))
