"""What is installed: versions that work together, this machine, and what a missing extra would bring."""

from __future__ import annotations

import importlib
import re
import shutil
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from catzoo.zoo.system.machine import has_bf16, usable_cores, usable_memory
from catzoo.zoo.system.provenance import cpu_model

EXTRAS = {
    "minatar": "MinAtar's five games",
    "numba": "faster losses on a CPU",
    "box2d": "Gymnasium's Box2D tasks",
    "mujoco": "Gymnasium's MuJoCo tasks",
    "dmc": "DeepMind Control",
    "robots": "the Fetch arm",
    "metaworld": "Meta-World's fifty tasks",
    "chess": "chess, with Stockfish for data and opponents",
    "tune": "CMA-ES, and studies in PostgreSQL",
    "ray": "a Ray cluster for many runs",
    "onnx": "trained agents as ONNX files",
    "wandb": "Weights & Biases",
    "board": "`catzoo board`: TensorBoard, optuna-dashboard",
    "hub": "`catzoo push` and `catzoo pull`: the Hugging Face Hub",
    "bench": "the peers that `catzoo bench` runs beside ours",
    "docs": "the documentation as a site",
    "dev": "tests, types, lint",
}
"""What each of them brings."""
PROGRAMS = {
    "stockfish": ("chess's data and stronger opponents: apt-get install stockfish", "/usr/games/stockfish"),
}
"""Programs beside Python's packages: what for, and where else they may be."""
GOOD, MISSING, BROKEN = "good", "missing", "broken"


class Finding(NamedTuple):
    """Something that was looked at."""

    what: str
    state: str
    """`good`; `missing`, of what nobody needs for all else; or `broken`."""
    words: str


def examine() -> list[Finding]:
    """Looks at everything; what is broken comes with what to do."""
    return [*_packages(), *_machine(), *_extras(), *_programs()]


def _packages() -> Iterator[Finding]:
    """Those that all need."""
    if not list(_requirements()):
        yield Finding("catzoo", MISSING, "a source tree: pip install -e . lets it be checked")
    for requirement, extra in _requirements():
        if extra is None:
            yield _installed(requirement)
    remedy = "pip install --force-reinstall torch torchrl, which are of one time"
    yield _tried("torch loads", lambda: str(importlib.import_module("torch").__version__), remedy)
    yield _tried("torchrl's C++ parts", lambda: importlib.import_module("torchrl._torchrl").__name__, remedy)


def _requirements() -> Iterator[tuple[str, str | None]]:
    """What `catzoo` asks for: a requirement as written, and the extra that it is of."""
    try:
        lines = metadata.requires("catzoo") or []
    except metadata.PackageNotFoundError:  # a source tree on the path
        return
    for line in lines:
        requirement, _, marker = line.partition(";")
        extra = re.search(r"extra == ['\"]([^'\"]+)['\"]", marker)
        yield requirement.strip(), extra[1] if extra else None


def _installed(text: str) -> Finding:
    from packaging.requirements import Requirement

    requirement = Requirement(text)
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Finding(requirement.name, BROKEN, f"not installed: pip install '{text}'")
    if not requirement.specifier.contains(version, prereleases=True):
        words = f"{version}, and {requirement.specifier} is needed: pip install '{text}'"
        return Finding(requirement.name, BROKEN, words)
    return Finding(requirement.name, GOOD, version)


def _tried(what: str, look: Callable[[], str], remedy: str, state: str = BROKEN) -> Finding:
    try:
        return Finding(what, GOOD, look())
    except Exception as error:  # whatever a broken installation raises
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        return Finding(what, state, f"{reason[:100]}; {remedy}")


def _machine() -> Iterator[Finding]:
    precision = ", bf16" if has_bf16() else ""
    yield Finding("processor", GOOD, f"{cpu_model()}, {usable_cores()} usable{precision}")
    yield Finding("memory", GOOD, f"{usable_memory() / 1e9:.1f} GB that a replay may fill")
    yield _tried("GPU", _gpu, "what needs none runs on the processor", MISSING)
    yield _tried("Triton", _triton, "PyTorch's operations, or Numba's, take the kernels' place", MISSING)


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("none that torch can use")
    return ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))


def _triton() -> str:
    import torch
    import triton

    if not torch.cuda.is_available():
        raise RuntimeError(f"{triton.__version__} without a GPU")
    triton.runtime.driver.active.get_current_target()
    if shutil.which("gcc") is None and shutil.which("clang") is None and shutil.which("cc") is None:
        raise RuntimeError(f"{triton.__version__} without a C compiler: apt-get install gcc")
    return str(triton.__version__)


def _extras() -> Iterator[Finding]:
    """Whether an extra's packages are there; those that exclude each other are never all."""
    wanted: dict[str, list[str]] = {}
    for requirement, extra in _requirements():
        if extra is not None and not requirement.startswith("catzoo"):
            wanted.setdefault(extra, []).append(requirement)
    for extra, brings in EXTRAS.items():
        if extra not in wanted:
            yield Finding(f"extra {extra}", MISSING, f"{brings}: not known here: pip install -e '.[{extra}]'")
            continue
        bad = [found for one in wanted.get(extra, []) if (found := _installed(one)).state != GOOD]
        if not bad:
            yield Finding(f"extra {extra}", GOOD, brings)
            continue
        lacks = ", ".join(found.what for found in bad)
        yield Finding(f"extra {extra}", MISSING, f"{brings}: pip install 'catzoo[{extra}]' (lacks {lacks})")


def _programs() -> Iterator[Finding]:
    for program, (remedy, elsewhere) in PROGRAMS.items():
        found = shutil.which(program) or (elsewhere if Path(elsewhere).is_file() else None)
        yield Finding(program, GOOD if found else MISSING, found or remedy)
