"""How an environment is seen while it is played: its frames, its speed, the names of its actions."""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from catzoo.hparams import Recipe, RecipeError, nearest
from catzoo.hparams.schema import brief
from catzoo.zoo.environments.making import make_env, make_under
from catzoo.zoo.environments.many_games import FilledUp, common_spaces
from catzoo.zoo.environments.names import canonical
from catzoo.zoo.environments.protocols import protocol_of, protocols_of_games
from catzoo.zoo.environments.variants import is_variant

CELLS = (
    "#4EA8DE",
    "#F4A261",
    "#80CFA9",
    "#E56B6F",
    "#F2E394",
    "#B8A1D9",
    "#FFFFFF",
    "#D9D9D9",
    "#9C6644",
    "#73D2DE",
)
"""Colours of a grid's channels, on dark."""
SCREEN = {"grayscale": False, "img_height": 210, "img_width": 160, "stack_num": 1}
"""What makes an ALE environment show the console's screen."""
CAMERA = {"camera_name": "track"}
"""Of MuJoCo's bodies: Gymnasium's own stays where it is, and a cheetah has soon left its picture."""
CAMERA_OPTIONS = {"camera_name", "camera_id", "default_camera_config"}
ACTIONS = {
    "CartPole": ("← left", "right →"),
    "MountainCar": ("← left", "coast", "right →"),
    "Acrobot": ("torque \N{MINUS SIGN}1", "0", "torque +1"),
    "LunarLander": ("coast", "left engine", "main engine", "right engine"),
}
"""Names of the actions of environments that do not name them."""
ARROWS = {
    "UPRIGHT": "↗", "UPLEFT": "↖", "DOWNRIGHT": "↘", "DOWNLEFT": "↙",
    "NOOP": "–", "UP": "↑", "RIGHT": "→", "LEFT": "←", "DOWN": "↓",
}  # fmt: skip
GRID_ACTIONS = {"n": "–", "l": "←", "u": "↑", "r": "→", "d": "↓", "f": "fire"}


class View:
    """How an environment is seen: its frames, its speed and the names of its actions."""

    fps = 30
    actions: list[str] | None = None

    def reset(self, seed: int) -> None:
        """The environment was reset."""

    def follow(self, action: Any, reward: float) -> None:
        """The environment made a step."""

    def frame(self, observation: np.ndarray) -> np.ndarray:
        """What it looks like, uint8 [H, W, 3]."""
        raise NotImplementedError

    def close(self) -> None:
        """Frees what the view holds."""


class Rendered(View):
    """An environment that draws itself."""

    def __init__(self, name: str, env: VectorEnv) -> None:
        self.name, self.env = name, env
        self.fps = max(int(env.metadata.get("render_fps") or 30), 1)
        self.white = 1.0
        """What white is in pictures of floats."""
        single = env.envs[0].unwrapped
        if hasattr(single, "get_action_meanings"):
            self.actions = [short_name(str(name)) for name in single.get_action_meanings()]

    def frame(self, observation: np.ndarray) -> np.ndarray:
        """The environment's own picture."""
        try:
            frame = self.env.render()[0]
        except Exception as error:  # whatever a simulator and its screen raise
            raise _cannot_draw(self.name, error) from None
        if isinstance(frame, list | tuple) and frame:  # all that was drawn since the last one
            frame = frame[-1]
        if not _is_picture(frame):
            what = (
                f"{list(frame.shape)} of {frame.dtype}"
                if isinstance(frame, np.ndarray)
                else type(frame).__name__
            )
            wanted = "[H, W], [H, W, 3] or [H, W, 4] of numbers"
            raise _cannot_draw(self.name, f"its render() gives {what}, not {wanted}")
        return self._rgb(frame)

    def _rgb(self, frame: np.ndarray) -> np.ndarray:
        """A picture of any kind of numbers as uint8 [H, W, 3]; an alpha channel is left out."""
        if frame.dtype.kind == "f":
            frame = np.nan_to_num(frame)
            if frame.max() > 1:  # an environment whose white is 1 never does that
                self.white = 255.0
            frame = np.rint(frame * (255 / self.white))
        elif frame.dtype.kind == "b":
            frame = 255 * frame.astype(np.uint8)
        frame = np.atleast_3d(frame)[:, :, :3].clip(0, 255).astype(np.uint8)
        return np.broadcast_to(frame, (*frame.shape[:2], 3))


class Grid(View):
    """MinAtar: the observation is the picture, one colour a channel. Its own drawing needs seaborn."""

    fps = 15
    CELL = 40

    def __init__(self, env: VectorEnv) -> None:
        game = env.envs[0].unwrapped
        letters = game.game.env.action_map
        self.actions = [GRID_ACTIONS.get(letters[index], letters[index]) for index in game.action_set]

    def frame(self, observation: np.ndarray) -> np.ndarray:
        """Cells with thin lines between; where things overlap, the last channel is on top."""
        colors = np.array([(32, 38, 46), *(_rgb(CELLS[c % len(CELLS)]) for c in range(observation.shape[2]))])
        top = (observation.astype(bool) * (np.arange(observation.shape[2]) + 1)).max(axis=2)
        picture = colors[top].astype(np.uint8).repeat(self.CELL, axis=0).repeat(self.CELL, axis=1)
        picture[:: self.CELL] = picture[:, :: self.CELL] = (24, 29, 36)
        return picture


class AtariScreen(View):
    """The colour screen of an ALE game: a second emulator that makes the same steps from the same seed.

    The C++ environment does not draw, and its observations are small and grey.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.env = make_env(recipe.env, 1, {**recipe.env_options, **SCREEN})
        settings = protocol_of(recipe.env, recipe.env_options).settings
        self.fps = max(round(60 / settings["frameskip"]), 1)
        self.actions = [
            short_name(name) for name in _atari_actions(recipe.env, settings["full_action_space"])
        ]

    def reset(self, seed: int) -> None:
        """Starts the same episode."""
        self.screen, _ = self.env.reset(seed=seed)

    def follow(self, action: Any, reward: float) -> None:
        """Makes the same step."""
        self.screen, own_reward, *_ = self.env.step(np.array([action]))
        if own_reward[0] != reward:
            raise RuntimeError("the two emulators have parted: the film would not show the agent's game")

    def frame(self, observation: np.ndarray) -> np.ndarray:
        """The screen."""
        return np.asarray(self.screen[0, 0])

    def close(self) -> None:
        """Closes the second emulator."""
        self.env.close()


def open_view(recipe: Recipe, game: str | None = None) -> tuple[VectorEnv, View]:
    """The recipe's environment, and what shows it.

    Args:
        recipe: names it.
        game: of several games, the one to play; the first by default.

    Raises:
        RecipeError: it cannot draw itself, or there is no such game.
    """
    games = recipe.games
    wanted = canonical(game or games[0])
    if wanted not in map(canonical, games):
        raise RecipeError(f"game={brief(wanted)}: {brief(recipe.env)} is not that{nearest(wanted, games)}")
    if len(games) == 1:
        return _open_view(recipe)
    protocol = protocol_of(recipe.env, recipe.env_options)
    parts = [make_under(one, 1) for one in protocols_of_games(protocol)]
    spaces = common_spaces(parts, games)
    for part in parts:
        part.close()
    (own,) = (one for one in protocols_of_games(protocol) if one.env == wanted)
    env, view = _open_view(dataclasses.replace(recipe, env=wanted, env_options=own.settings))
    return FilledUp(env, *spaces), view


def _open_view(recipe: Recipe) -> tuple[VectorEnv, View]:
    family = protocol_of(recipe.env).name
    if family == "atari-sticky" and not is_variant(recipe.env):  # whose consoles draw themselves
        return make_env(recipe.env, 1, recipe.env_options), AtariScreen(recipe)
    if family == "minatar-sticky":
        env = make_env(recipe.env, 1, recipe.env_options)
        return env, Grid(env)
    camera = CAMERA if family.startswith("mujoco") and not CAMERA_OPTIONS & recipe.env_options.keys() else {}
    try:
        env = make_env(recipe.env, 1, recipe.env_options, render_mode="rgb_array", **camera)
    except RecipeError as error:  # without drawing, it was just made
        raise _cannot_draw(recipe.env, error) from None
    return env, Rendered(recipe.env, env)


def short_name(action: str) -> str:
    """`UPRIGHTFIRE` in two short lines; other names as they are, in small letters."""
    word = action.upper()
    fire = word.endswith("FIRE") and word != "FIRE"
    arrow = ARROWS.get(word.removesuffix("FIRE") if fire else word)
    if arrow is None:
        return action.lower()
    return f"{arrow}\nfire" if fire else arrow


def _atari_actions(env: str, full: bool) -> list[str]:
    """The names of a game's actions, in the order of the action space."""
    import ale_py
    from ale_py import roms

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.loadROM(roms.get_rom_path(gym.spec(env).kwargs["game"]))
    return [action.name for action in (ale.getLegalActionSet() if full else ale.getMinimalActionSet())]


def known_names(env: str) -> tuple[str, ...] | None:
    """The names of the actions of a well-known environment."""
    name = env.rpartition(":")[2]
    return next((words for key, words in ACTIONS.items() if name.startswith(key)), None)


def _is_picture(frame: object) -> bool:
    if not isinstance(frame, np.ndarray) or frame.dtype.kind not in "buif" or not frame.size:
        return False
    return frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] in (1, 3, 4))


def _cannot_draw(env: str, why: object) -> RecipeError:
    return RecipeError(
        f"{env}: cannot draw itself, so there is nothing to film: {' '.join(str(why).split())}"
    )


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color[1:]))
