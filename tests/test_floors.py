"""The house has floors: a room imports only from its own floor or below, and no file imports itself."""

import ast
import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BELOW = {
    "kernels": set(),
    "losses": {"kernels"},
    "hparams": set(),
    "agents": {"kernels", "losses", "hparams"},
    "zoo": {"kernels", "losses", "agents", "hparams"},
}
UP_TO_PICTURES = {"system", "catalogue", "environments", "datasets", "statistics", "folders", "pictures"}
UP_TO_WATCH = UP_TO_PICTURES | {"training", "reporting", "launch", "watch"}
ROOMS = {
    "system": set(),
    "catalogue": set(),
    "environments": {"system"},
    "datasets": {"system", "environments"},
    "statistics": {"system", "environments"},
    "folders": {"system", "environments", "catalogue"},
    "pictures": {"system", "environments", "statistics", "folders"},
    "training": UP_TO_PICTURES,
    "reporting": UP_TO_PICTURES,
    "launch": {"system", "environments", "catalogue", "folders", "training", "reporting"},
    "watch": {"system", "environments", "pictures", "training"},
    "gallery": {"system", "catalogue", "folders", "pictures", "reporting", "watch"},
    "tuning": UP_TO_WATCH - {"reporting", "watch"},
    "studies": UP_TO_WATCH - {"reporting", "watch"} | {"datasets"},
    "bench": UP_TO_WATCH - {"reporting", "watch"} | {"tuning"},
    "cli": UP_TO_WATCH - {"pictures", "statistics"} | {"datasets", "gallery", "tuning", "studies", "bench"},
}
"""Of zoo/: what each room may import there, beside itself."""
NO_TORCH = ("system", "catalogue", "folders", "statistics", "cli")
"""Rooms of zoo/ that import no torch when they are imported."""
TORCH = {"torch", "torchrl", "tensordict", "lightning", "numba"}
TORCH_ONLY = {"torch", "triton"}
ADAPTERS = {
    Path("losses/torchrl"): {"torchrl", "tensordict"},
    Path("kernels/numba_kernels.py"): {"numba", "llvmlite", "numpy"},
}
"""Files and folders of `kernels` and `losses` that need more than torch."""
TWICE = {
    "chess.py": "the agent, and the study of it",
    "registry.py": "agents, and environments: each is the registry of its room",
    "robots.py": "the environments and the study of one world",
    "wordle.py": "the agent, the environment and the study of one world",
}
"""File names that stand in two places, and why. Commands and recipes are called after what they are of."""


def files(room):
    return sorted((ROOT / room).rglob("*.py"))


def module_of(path):
    return "catzoo." + ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for room in BELOW for path in files(room)}


def statements(path, at_import):
    """The nodes of a file; `at_import`: without what only types or functions see."""
    waiting = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if at_import and (typing or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


@cache
def imports(path, at_import=False):
    """The modules that a file imports, ours as far as they are files."""
    found = set()
    for node in statements(path, at_import):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in inner}
            if node.module == "catzoo":
                found |= inner
    return found


def rooms_of(names):
    return {name.split(".")[1] for name in names if name.startswith("catzoo.")} & set(BELOW)


@pytest.mark.parametrize("room", BELOW)
def test_a_room_imports_only_from_its_floor_or_below(room):
    assert files(room)
    for path in files(room):
        names = imports(path)
        assert rooms_of(names) <= BELOW[room] | {room}, path
        bare = {name.split(".")[0] for name in names} & set(BELOW)
        assert not bare, f"{path}: import catzoo.{bare} instead"


def test_the_rooms_of_the_zoo_are_those_of_the_table():
    there = {path.name for path in (ROOT / "zoo").iterdir() if any(path.glob("*.py"))}
    assert there == set(ROOMS)
    assert [path.name for path in (ROOT / "zoo").glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_of_the_zoo_imports_what_its_row_of_the_table_allows(room):
    for path in files(f"zoo/{room}"):
        inner = {name.split(".")[2] for name in imports(path) if re.match(r"catzoo\.zoo\.\w", name)}
        assert inner <= ROOMS[room] | {room}, path


def test_no_file_imports_itself_around_a_corner():
    left = {name: imports(path) & MODULES.keys() - {name} for name, path in MODULES.items()}
    while free := {name for name, needs in left.items() if not needs & left.keys()}:
        left = {name: needs for name, needs in left.items() if name not in free}
    assert not left, "these import each other"


def heavy(name, seen):
    """Which of torch's libraries importing a module of ours imports."""
    if name in seen:
        return set()
    seen.add(name)
    parents = {name.rsplit(".", up)[0] for up in range(1, name.count("."))}
    found = set()
    for other in imports(MODULES[name], at_import=True) | parents:
        found |= heavy(other, seen) if other in MODULES else {other.split(".")[0]} & TORCH
    return found


@pytest.mark.parametrize("room", NO_TORCH)
def test_rooms_that_answer_at_once_import_no_torch(room):
    for path in files(f"zoo/{room}"):
        assert not heavy(module_of(path), set()), path


@pytest.mark.parametrize("room", ["kernels", "losses"])
def test_kernels_and_losses_need_nothing_but_torch(room):
    for path in files(room):
        names = {name.split(".")[0] for name in imports(path)}
        place = path.relative_to(ROOT)
        adapters = (allowed for adapter, allowed in ADAPTERS.items() if place.is_relative_to(adapter))
        allowed = TORCH_ONLY.union({"catzoo"}, *adapters)
        assert names - set(sys.stdlib_module_names) <= allowed, path


def test_hparams_knows_no_torch():
    for path in files("hparams"):
        names = {name.split(".")[0] for name in imports(path)}
        assert names - set(sys.stdlib_module_names) <= {"catzoo", "yaml", "optuna", "sqlalchemy"}, path


def test_files_stay_readable():
    for path in MODULES.values():
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= 400, f"{path}: {lines} lines"


def test_a_file_s_name_says_what_is_in_it():
    commands = set(files("zoo/cli")) | set(files("hparams/agents"))
    names = Counter(path.name for path in MODULES.values() if path not in commands)
    twice = {name for name, count in names.items() if count > 1} - {"__init__.py", "__main__.py"}
    assert twice <= set(TWICE)


def test_the_import_name_is_one_link_per_room():
    for room in BELOW:
        link = ROOT / "src" / "catzoo" / room
        assert link.is_symlink()
        assert re.fullmatch(rf"\.\./\.\./{room}", str(link.readlink()))
