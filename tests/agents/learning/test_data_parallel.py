"""Two learners over gloo take the steps of one with the joined batch, and have the same state."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from catzoo.agents.learning.data_parallel import ALONE
from catzoo.zoo.datasets.wordle_games import make_wordle_games
from ranks_for_tests import COUNT, KINDS

SCRIPT = Path(__file__).parents[2] / "ranks_for_tests.py"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each of two processes has found, by rank."""
    folder = tmp_path_factory.mktemp("ranks")
    make_wordle_games("wordle/40", folder / "games", games=60, quality=0.5)
    command = [sys.executable, "-W", "ignore", str(SCRIPT)]
    others = [
        subprocess.Popen([*command, str(rank), str(folder)], stdout=subprocess.DEVNULL)
        for rank in range(COUNT)
    ]
    assert [other.wait(300) for other in others] == [0] * COUNT
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(COUNT)]


def test_what_ranks_tell_each_other(found):
    for own in found:
        assert own["small"] == {
            "rows": [0, 0, 1],
            "none": [],
            "total": 11,
            "largest": [1, 0],
            "equal": [[0, 0], 0],
            "averaged": [[1.5] * 4, [2.5] * 3],
            "weighed": [1.75] * 4,
            "seeds": [7, found[0]["small"]["seeds"][1]],
        }
    assert found[0]["small"]["seeds"][1] != 7


@pytest.mark.parametrize("kind", KINDS)
def test_the_averaged_gradient_is_that_of_the_joined_batch(found, kind):
    for own in found:
        assert own[kind]["size"] > 1e-3
        assert own[kind]["apart"] < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_what_drives_updates_is_equal_on_all_ranks(found, kind):
    first, second = found[0][kind]["digests"]
    assert found[0][kind]["updates"] > 7
    assert first == second
    assert first[1][2] > 0 or KINDS[kind][1] != "CartPole-v1"  # where episodes are short


def test_alone_nobody_is_asked():
    gradients = [object()]
    assert ALONE.averaged(gradients) is gradients
    assert ALONE.rows(gradients) is ALONE.largest(gradients) is gradients
    row = {"a": 1.0}
    assert ALONE.mean_row(row) is row
    assert (ALONE.seed(7), ALONE.total(3), ALONE.gathered("x")) == (7, 3, ["x"])
