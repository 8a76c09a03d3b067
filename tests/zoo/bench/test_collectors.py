"""Many collectors: every side is measured; and a model of more of them that keeps its own bounds."""

import csv

import pytest

from catzoo.zoo.bench.collectors import bench_collectors
from catzoo.zoo.bench.throughput_model import COLLECTORS, ENVS, LEARNERS, WORKLOADS, draw, rate
from catzoo.zoo.training import remote_collectors
from players_for_tests import LocalPlayer


def test_every_side_has_a_row(tmp_path, monkeypatch):
    monkeypatch.setattr(remote_collectors, "ProcessPlayer", LocalPlayer)
    bench_collectors(["CartPole-v1"], ["1", "2"], 2, 80, tmp_path / "rows.csv", "the command")
    with (tmp_path / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["env"], row["workers"]) for row in rows] == [("CartPole-v1", "1"), ("CartPole-v1", "2")]
    assert all(float(row["steps_per_second"]) > 0 and 0 <= float(row["waiting"]) <= 1 for row in rows)


@pytest.mark.parametrize("costs", WORKLOADS)
def test_a_model_never_beats_its_slowest_part(costs):
    for collectors in COLLECTORS:
        for learners in LEARNERS:
            ahead, turns = (rate(costs, collectors, learners, ahead=way) for way in (True, False))
            assert turns < ahead <= 2 * turns
            assert ahead <= ENVS / (ENVS / collectors * costs.step)
            assert ahead <= 1 / (costs.updates_per_step * costs.update / learners)


def test_it_is_drawn(tmp_path):
    draw(WORKLOADS, tmp_path / "model.png")
    assert (tmp_path / "model.png").stat().st_size > 10_000
