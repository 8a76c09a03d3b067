"""Learning from datasets beside plain loops: the same loss on both sides, and rows with a ratio."""

import csv
from contextlib import contextmanager

import pytest
import torch

from catzoo.agents import read_dataset
from catzoo.losses import HLGauss
from catzoo.zoo.bench import offline_loops
from catzoo.zoo.bench.offline_loops import bench_offline_loops, hl_gauss
from catzoo.zoo.training.build import build_trainer
from catzoo.zoo.training.train import recipe_of


def test_the_plain_loss_is_ours():
    loss = HLGauss(0, 1, 16, sigma=0.05)
    logits, target = torch.randn(7, 5, 16), torch.linspace(-0.2, 1.2, 35).view(7, 5)
    plain = hl_gauss(logits, target, loss.support.edges, float(loss.sigma))
    torch.testing.assert_close(plain, loss(logits, target), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["chess", "wordle"])
def test_a_plain_update_is_an_update_of_the_agent(tmp_path, monkeypatch, name):
    pytest.importorskip("chess")
    monkeypatch.setattr(offline_loops, "EXAMPLES", 64)
    env, make, plain = offline_loops.AGENTS[name]
    make(tmp_path / "data")
    asked = {"dataset": str(tmp_path / "data"), "batch_size": 8, "optimizer": {"anneal": False}}
    whole = {"moves": 218} if name == "chess" else {}  # so that no turn is drawn
    recipe = recipe_of(name, env, loss="hl_gauss", overrides=[asked | whole, {"network": {"num_layers": 1}}])
    ours, other = build_trainer(recipe), build_trainer(recipe)
    batches, index = ours.feed.replay.sample(8)
    ours.learner.learn(batches)
    monkeypatch.setattr(torch, "randint", lambda *_, **__: index.flatten())
    parameters = list(other.agent.network.parameters())
    before = [parameter.clone() for parameter in parameters]
    plain(other.agent, read_dataset(tmp_path / "data").columns)()
    moved = max((own - old).abs().max() for own, old in zip(parameters, before, strict=True))
    assert moved > 0
    # Adam's first step is the gradient's sign: of numbers near zero a few may differ.
    pairs = zip(ours.agent.network.parameters(), parameters, strict=True)
    apart = torch.cat([((own - its).abs() > 0.1 * moved).flatten() for own, its in pairs])
    assert apart.float().mean() < 0.01
    ours.close()
    other.close()


def test_rows_have_both_sides_and_a_ratio(tmp_path, monkeypatch):
    @contextmanager
    def sides(agent, data):
        def count(updates):
            sum(range(200_000))
            return updates

        yield {"catzoo": lambda updates: 2 * count(updates), "plain": count}, 8

    monkeypatch.setattr(offline_loops, "both_sides", sides)
    rows = bench_offline_loops(4, 3, tmp_path / "loops.csv", "the command")
    assert [(row["agent"], row["side"]) for row in rows] == [
        ("chess", "catzoo"), ("chess", "plain"), ("wordle", "catzoo"), ("wordle", "plain")
    ]  # fmt: skip
    assert 1 < float(rows[0]["ratio"]) < 4
    with (tmp_path / "loops.csv").open() as file:
        assert [row["ratio"] != "" for row in csv.DictReader(file)] == [True, False, True, False]
