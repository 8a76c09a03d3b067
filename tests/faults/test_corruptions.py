"""A harmed run folder goes on from a checkpoint that is whole, exactly, or is refused in one line."""

import json
import os
import random
import re
import shutil
from collections import Counter

import pytest

import catzoo
from catzoo.hparams import RecipeError
from catzoo.zoo.system.csv_rows import read_rows
from faults.runs_for_tests import LONG, REPLAY, SMALL, assert_same_weights, saved_steps

CASES = 200 if LONG else 12
BEFORE, AFTER = 500, 800
"""Steps of the run that is harmed, and those that are asked for then."""
# Importance weights follow the steps that are asked for; a constant beta makes it all one whether a run was
# to have 500 or 800 steps when it passed 400, so that every checkpoint leads to the same end.
CONSTANT = ["replay.beta=1.0", "checkpoint_every=200", "eval.episodes=1"]


def train(run_dir, steps):
    return catzoo.train(
        "rainbow", "CartPole-v1", loss="hl_gauss", steps=steps, run_dir=run_dir,
        overrides=[*SMALL, *REPLAY, *CONSTANT],
    )  # fmt: skip


def copy(source, target):
    """Copies a run folder; files that were one stay one, as the segments of two checkpoints are."""
    seen = {}

    def copy_file(one, other):
        first = seen.setdefault(os.stat(one).st_ino, other)
        return shutil.copy2(one, other) if first == other else os.link(first, other)

    return shutil.copytree(source, target, copy_function=copy_file)


def truncate(file, chance, others):
    os.truncate(file, chance.randrange(max(file.stat().st_size, 1)))


def empty(file, chance, others):
    os.truncate(file, 0)


def flip_a_bit(file, chance, others):
    content = bytearray(file.read_bytes())
    if content:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    with file.open("r+b") as opened:  # in place: what is linked to it has it too
        opened.write(content)


def delete(file, chance, others):
    file.unlink()


def swap(file, chance, others):
    other = chance.choice([path for path in others if path != file])
    aside = file.with_name("aside")
    file.rename(aside)
    other.rename(file)
    aside.rename(other)


def delete_its_folder(file, chance, others):
    shutil.rmtree(file.parent)


HARMS = (truncate, empty, flip_a_bit, delete, swap, delete_its_folder)


def kinds(run_dir):
    """The files of a run's folder by kind, so that each kind is harmed as often."""
    files = sorted(path for path in run_dir.rglob("*") if path.is_file())
    checkpoints = run_dir / "checkpoints"
    found = {
        "segment": [path for path in files if "records-" in path.name],
        "checkpoint": [path for path in files if path.name in ("seal.json", "manifest.json")],
        "state": [path for path in files if path.name.startswith("state.")],
        "run": [path for path in files if checkpoints not in path.parents],
    }
    assert {path for paths in found.values() for path in paths} == set(files)
    return found


def harm(run_dir, chance):
    """Does one thing to one file; returns what was done and to what."""
    files = kinds(run_dir)
    what = chance.choice(HARMS)
    # Of folders, it is whole checkpoints that are deleted.
    paths = files["checkpoint" if what is delete_its_folder else chance.choice(list(files))]
    file = chance.choice(paths)
    what(file, chance, [path for paths in files.values() for path in paths])
    return what.__name__, file.relative_to(run_dir).as_posix()


def contents(run_dir):
    """Every file but those of the journal, which is remade from a checkpoint."""
    files = (path for path in run_dir.rglob("*") if path.is_file() and path.parent.name != "journal")
    return {path.relative_to(run_dir).as_posix(): path.read_bytes() for path in files}


def episodes_after(run_dir, step):
    """What the training episodes were that ended after a step."""
    return [row for row in read_rows(run_dir / "episodes.csv") if int(row["step"]) > step]


def train_or_refuse(folder):
    """The result, or why there is none; any other exception is a failure."""
    try:
        return train(folder, AFTER)
    except RecipeError as error:
        return error


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A finished run."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(folder, BEFORE)
    assert len(saved_steps(folder)) == 2
    return folder


@pytest.fixture(scope="module")
def truth(run_dir, tmp_path_factory):
    """The same with more steps, and never harmed."""
    folder = copy(run_dir, tmp_path_factory.mktemp("truth") / "run")
    train(folder, AFTER)
    straight = folder.with_name("straight")
    train(straight, AFTER)
    assert_same_weights(folder, straight, best=False)
    return folder


@pytest.fixture(scope="module")
def outcomes():
    """What came of each harm; printed at the end."""
    found = Counter()
    yield found
    columns = ("newest", "older", "refused")
    print("\n" + "".join(f"{name:>22}" for name in ("harm", *columns)))
    for name in sorted({name for name, _ in found}):
        print("".join(f"{cell:>22}" for cell in (name, *(found[name, column] for column in columns))))


@pytest.mark.parametrize("case", range(CASES))
def test_harmed(case, run_dir, truth, outcomes, tmp_path, capsys):
    steps = saved_steps(run_dir)
    folder = copy(run_dir, tmp_path / "run")
    what, where = harm(folder, random.Random(case))
    before = contents(folder)
    result = train_or_refuse(folder)
    if isinstance(result, RecipeError):
        assert "\n" not in str(result)
        assert contents(folder) == before
        outcomes[what, "refused"] += 1
        return
    said = re.search(r"going on from step ([\d,]+)", capsys.readouterr().out)
    print(f"{what}: {where}")
    assert said is not None
    step = int(said[1].replace(",", ""))
    assert step in steps
    outcomes[what, "newest" if step == steps[-1] else "older"] += 1
    assert_same_weights(folder, truth, best=step == steps[-1])
    assert result["returns"] == json.loads((truth / "result.json").read_text())["returns"]
    if "episodes.csv" not in where:
        assert episodes_after(folder, step) == episodes_after(truth, step)
