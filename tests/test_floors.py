"""The house has floors: a room imports only from its own floor or below."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BELOW = {
    "kernels": set(),
    "losses": {"kernels"},
    "agents": {"kernels", "losses"},
    "hparams": set(),
    "zoo": {"kernels", "losses", "agents", "hparams"},
}
TORCH_ONLY = {"torch", "triton"}
ADAPTERS = {Path("losses/torchrl.py"): {"torchrl", "tensordict"}}


def imported(path):
    """Top-level names and catzoo rooms that a file imports, wherever in it."""
    names, rooms = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            modules = [node.module]
            if node.module == "catzoo":
                modules = [f"catzoo.{alias.name}" for alias in node.names]
        for module in modules:
            top, *rest = module.split(".")
            names.add(top)
            if top == "catzoo" and rest and rest[0] in BELOW:
                rooms.add(rest[0])
    return names, rooms


def files(room):
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", BELOW)
def test_a_room_imports_only_from_its_floor_or_below(room):
    assert files(room)
    for path in files(room):
        names, rooms = imported(path)
        assert rooms <= BELOW[room] | {room}, path
        assert not names & set(BELOW), f"{path}: import catzoo.{names & set(BELOW)} instead"


@pytest.mark.parametrize("room", ["kernels", "losses"])
def test_kernels_and_losses_need_nothing_but_torch(room):
    for path in files(room):
        names, _ = imported(path)
        allowed = TORCH_ONLY | {"catzoo"} | ADAPTERS.get(path.relative_to(ROOT), set())
        assert names - set(sys.stdlib_module_names) <= allowed, path


def test_hparams_knows_no_torch():
    for path in files("hparams"):
        names, _ = imported(path)
        assert names - set(sys.stdlib_module_names) <= {"catzoo", "yaml", "optuna", "sqlalchemy"}, path


def test_files_stay_readable():
    for room in BELOW:
        for path in files(room):
            lines = path.read_text(encoding="utf-8").count("\n")
            assert lines <= 420, f"{path}: {lines} lines"


def test_the_import_name_is_one_link_per_room():
    for room in BELOW:
        link = ROOT / "src" / "catzoo" / room
        assert link.is_symlink()
        assert re.fullmatch(rf"\.\./\.\./{room}", str(link.readlink()))
