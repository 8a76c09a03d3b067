"""MuJoCo as a library: whether it is there, what it warns of, and how it draws without a screen."""

from __future__ import annotations

import contextlib
import ctypes.util
import importlib
import os
import sys
from functools import cache
from typing import Any

import gymnasium as gym

from catzoo.hparams import RecipeError
from catzoo.zoo.system.console import say

GL = "MUJOCO_GL"
"""The environment variable that says by which library MuJoCo draws."""
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")


def prepare_mujoco(*, drawing: bool) -> None:
    """Readies MuJoCo for environments of this process.

    Raises:
        RecipeError: it is not installed, or cannot draw here though it is to.
    """
    try:
        heed_warnings()
    except ImportError:
        raise RecipeError("MuJoCo is not installed: pip install 'catzoo[mujoco]'") from None
    if drawing:
        _draw_without_screen()


def heed_warnings() -> None:
    """Has MuJoCo's warnings said once; it writes them all into a file in the current folder otherwise."""
    if os.environ.get(GL) == "osmesa":  # which MuJoCo then loads with itself
        _load_triton()
    import mujoco

    mujoco.set_mju_user_warning(_heed)


def _heed(message: str) -> None:
    if "deprecated" not in message:  # those are for authors of models
        _say(message.partition(" Time =")[0].strip())


@cache
def _say(message: str) -> None:
    say(f"MuJoCo: {message}")


class DivergenceCheck(gym.Wrapper):
    """One of Gymnasium's MuJoCo tasks, which begin anew in mid-episode, without a word, where they diverge.

    Raises:
        FloatingPointError: in a step, a position, speed or acceleration is NaN or beyond all measure.
    """

    stateless = True

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the task's."""
        made = self.env.step(action)
        warned = self.unwrapped.data.warning  # type: ignore[attr-defined]
        if any(warned[kind].number for kind in _divergences()):
            raise FloatingPointError(f"{self.unwrapped.spec.id}: the simulation diverged")  # type: ignore[union-attr]
        return made


@cache
def _divergences() -> tuple[int, ...]:
    """Numbers of MuJoCo's warnings of positions, speeds and accelerations, which differ by version."""
    from mujoco import mjtWarning

    return int(mjtWarning.mjWARN_BADQPOS), int(mjtWarning.mjWARN_BADQVEL), int(mjtWarning.mjWARN_BADQACC)


def _load_triton() -> None:
    """Before OSMesa: Triton's LLVM ends the process where it is loaded after Mesa's."""
    with contextlib.suppress(ImportError):
        importlib.import_module("triton")


def _draw_without_screen() -> None:
    chosen = os.environ.get(GL)
    if not sys.platform.startswith("linux") or (chosen is None and any(map(os.environ.get, SCREENS))):
        return
    if chosen in (None, "osmesa", "disable"):
        if ctypes.util.find_library("OSMesa") is None:
            raise RecipeError(
                "MuJoCo draws without a screen by OSMesa, which is missing: apt install libosmesa6, or "
                "MUJOCO_GL=egl where there is a GPU"
            )
        os.environ[GL] = "osmesa"
        _load_triton()
