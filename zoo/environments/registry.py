"""Registered environments by name, without making one."""

from __future__ import annotations

import importlib
import os
import re
import sys
from typing import Any

import gymnasium as gym

from catzoo.hparams import RecipeError, nearest
from catzoo.zoo.environments.chess_games import register_chess
from catzoo.zoo.environments.continuous import register_dmc
from catzoo.zoo.environments.meta_world import META_WORLD, register_meta_world
from catzoo.zoo.environments.names import canonical
from catzoo.zoo.environments.robots import register_robots
from catzoo.zoo.environments.variants import check_switches, game_of, switches_of
from catzoo.zoo.environments.wordle import register_wordle


def find_spec(env: str) -> Any:
    """The registered specification behind a name, without making the environment; of a variant the game's.

    Raises:
        RecipeError: no such environment, with the nearest name; or a mode that the game has not.
    """
    switches = switches_of(env)
    spec = _find(canonical(game_of(env)))
    if switches:
        from catzoo.zoo.environments.atari_console import allowed_switches

        check_switches(env, switches, allowed_switches(spec.kwargs["game"]))
    return spec


def _find(env: str) -> Any:
    if env.startswith("MinAtar/"):
        _register_minatar()
    if env.startswith("chess/"):
        register_chess()
    if env.startswith("dmc/"):
        register_dmc()
    if env.startswith("Fetch"):
        register_robots()
    if env.startswith(META_WORLD):
        register_meta_world()
    if env.startswith("wordle/"):
        register_wordle()
    if env.startswith("ALE/"):
        import ale_py

        gym.register_envs(ale_py)
    module, colon, name = env.rpartition(":")
    if colon:
        if os.getcwd() not in sys.path:  # a package beside you, as `python -m` would find it
            sys.path.append(os.getcwd())
        try:
            importlib.import_module(module)
        except (ImportError, ValueError, TypeError, SystemExit) as error:
            raise RecipeError(f"{env}: cannot import {module}: {in_short(error)}") from None
    try:
        spec = gym.spec(name)
        atari = str(spec.entry_point).startswith("ale_py")
        if not atari or env == spec.id == _atari_id(name):
            return spec
        problem = "Atari games are called ALE/GAME-v5"
    except gym.error.Error as error:
        problem = in_short(error)
    known = [key for key in gym.registry if _family(key) == _family(env)]
    ours = _atari_id(name)
    if colon:  # of a package's own environments, by the name that imports it
        known = [f"{module}:{key}" for key, made in gym.registry.items() if _of(module, made)]
    hint = f"; did you mean {ours}?" if ours else nearest(env if colon else name, known)
    if re.fullmatch(r"chess/stockfish-\d+", env):
        hint = ": Stockfish's levels are 0 to 20"
    raise RecipeError(f"unknown environment {env}{hint or ': ' + problem}")


def _of(module: str, spec: Any) -> bool:
    """Whether a registered environment comes from a package."""
    point = spec.entry_point
    where = point.partition(":")[0] if isinstance(point, str) else getattr(point, "__module__", "")
    return f"{where}.".startswith(f"{module.partition('.')[0]}.")


def _family(name: str) -> str | None:
    families = ("ALE/", "chess/", "dmc/", META_WORLD, "wordle/")
    return next((prefix for prefix in families if name.startswith(prefix)), None)


def _atari_id(name: str) -> str | None:
    """`ALE/Pong-v5` for what the game is called elsewhere: `Pong-v5`, `PongNoFrameskip-v4`."""
    import ale_py

    gym.register_envs(ale_py)
    game = re.sub(r"(-ram)?(NoFrameskip|Deterministic)?(-v\d+)?$", "", name.removeprefix("ALE/"))
    ours = f"ALE/{game}-v5"
    return ours if ours in gym.registry else None


def _register_minatar() -> None:
    try:
        from minatar.gym import register_envs
    except ImportError:
        raise RecipeError("MinAtar is not installed: pip install 'catzoo[minatar]' (GPL-3)") from None
    if "MinAtar/Breakout-v1" not in gym.registry:
        register_envs()


def in_short(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it asked for the program's end: sys.exit({error.code!r})"
    return " ".join(str(error).split()) or type(error).__name__
