"""What made a number: versions and processor."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

from catzoo.version import __version__

PACKAGES = (
    "torch", "torchrl", "tensordict", "lightning", "gymnasium", "ale-py", "mujoco", "numpy", "numba",
)  # fmt: skip


def versions(*also: str) -> dict[str, str]:
    """Versions of everything that decides a number, and of other packages, where they are installed."""
    packages = (*PACKAGES, *also)
    found = {"catzoo": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def cpu_model() -> str:
    """The processor's name, as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    except OSError:
        pass
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
