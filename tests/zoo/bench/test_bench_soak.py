"""`catzoo bench soak`: a short one runs to its end and leaves nothing; the slope is that of the line."""

import csv
import os
import subprocess
import threading

import numpy as np
import pytest

from catzoo.hparams import RecipeError
from catzoo.zoo.bench.soak import COLUMNS, COUNTS, bench_soak, fit, left_over, look, short, summarise
from catzoo.zoo.catalogue.recipe_files import find_recipe


def test_rows_and_files(tmp_path):
    said = []
    rows = bench_soak(
        tmp_path, minutes=0.1, agent="dqn", env="CartPole-v1", loss="mse", every=1_000, interval=0.5,
        overrides=("eval.interim_episodes=1", "log_every=200"), command="it", progress=said.append,
    )  # fmt: skip
    samples, summary = [row for row in rows if row["what"] == "sample"], rows[-1]
    assert [row["what"] for row in rows[len(samples) :]] == ["before", "after", "summary"]
    assert len(samples) > 3
    assert all(row["memory_mb"] > 10 and row["threads"] and row["files"] for row in samples)
    assert samples[-1]["step"] >= samples[-1]["checkpoint"] > 0
    assert summary["evaluations"] > 0
    assert summary["left"] == "", summary
    assert "not full" in said[-1]
    assert "left after the end: nothing" in said[-1]
    with (tmp_path / "soak.csv").open() as stream:
        written = list(csv.DictReader(stream))
    assert tuple(written[0]) == COLUMNS
    assert len(written) == len(rows)
    assert written[-1]["command"] == "it"
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")


def test_a_wrong_recipe_starts_nothing(tmp_path):
    with pytest.raises(RecipeError, match="rainbo"):
        bench_soak(tmp_path, agent="rainbo")
    assert list(tmp_path.iterdir()) == []


def test_an_end_before_its_time_is_told():
    with pytest.raises(RecipeError, match="random_shift=4 needs images"):
        bench_soak(None, agent="dqn", env="CartPole-v1", overrides=("random_shift=4",))


@pytest.mark.parametrize("slope", [0.0, 12.0])
def test_the_slope_is_within_its_interval(slope):
    hours = np.arange(720) / 720
    noise = np.random.default_rng(0).normal(size=720)
    found, half_width = fit(hours, 500 + slope * hours + noise)
    assert abs(found - slope) < half_width < 1


def test_the_slope_counts_from_where_the_replay_is_full():
    def sample(second):
        return {"seconds": second, "step": 10 * second, "checkpoint": 0, "memory_mb": min(second, 70)}

    samples = [sample(second) for second in range(100)]
    late, never = summarise(samples, 700), summarise(samples, 5_000)
    assert (late["from_seconds"], late["slope_mb_h"], late["replay_full"]) == (70, 0, True)
    assert (never["from_seconds"], never["replay_full"]) == (49.5, False)
    assert never["slope_mb_h"] > 0


def test_a_look_sees_threads_files_and_processes(tmp_path):
    before, stop = look(os.getpid()), threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    with (tmp_path / "kept").open("w"), subprocess.Popen(["sleep", "60"]) as child:
        after = look(os.getpid())
        child.kill()
    stop.set()
    thread.join()
    assert [after["counts"][kind] - before["counts"][kind] for kind in COUNTS] == [1, 1, 1]
    assert left_over(before, after).endswith(f"; files: {tmp_path / 'kept'}; processes: sleep")
    assert 10 < after["counts"]["memory_mb"] < 1e5


def test_what_is_left_has_a_name():
    before = {"names": {"threads": ["python"], "files": ["/a", "/b"], "processes": []}}
    after = {"names": {"threads": ["python", "python"], "files": ["/a", "/c"], "processes": ["worker"]}}
    assert left_over(before, before) == ""
    assert left_over(before, after) == "threads: python; processes: worker"


@pytest.mark.parametrize("agent", ["rainbow", "pqn", "cql"])
def test_every_agent_has_a_miniature(agent):
    tiny = short(find_recipe(agent, "CartPole-v1"))
    assert tiny.eval.every == tiny.checkpoint_every == tiny.steps // 2
    assert getattr(tiny, "learning_starts", 0) <= tiny.steps // 2
