"""`watch`: one greedy episode as a film, with the value distribution of every action taken beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from PIL import Image

from catzoo.hparams import Recipe, RecipeError
from catzoo.zoo import style
from catzoo.zoo.environments import canonical, make_env, protocol_of, stream_seed
from catzoo.zoo.picture import Caption, Episode, Picture, palette
from catzoo.zoo.runs import load_agent

GIF_WIDTH = 800
GIF_PICTURES = 150
"""A GIF shows about so many steps of its episode: longer ones are skipped through."""
GIF_FPS = (10, 20)
"""Slowest and fastest of a GIF whose speed was left to us."""
GIF_COLORS = 128
MOST_FPS = 120
Progress = Callable[[int, int], None] | None
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


def watch(
    run: str | Path,
    out: str | Path,
    *,
    seed: int = 0,
    max_steps: int = 3000,
    fps: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Films one episode of the greedy policy of a finished run.

    Beside the environment's frame stand the value distribution of the chosen action with its mean, the Q of
    every action, and the value over the episode, with the discounted return that then followed.

    Args:
        run: the run's folder.
        out: an .mp4, or a .gif (smaller, and skipping through a long episode); replaced when complete.
        seed: of the episode; another one is another episode.
        max_steps: where to cut an episode that does not end.
        fps: pictures a second; by default the environment's own speed.
        progress: called with (steps drawn, steps of the episode).

    Returns:
        `out` (the path), `steps`, `return` (undiscounted, unclipped), `frames` (pictures in the film).

    Raises:
        RecipeError: another kind of file, a folder that cannot be written, not a finished run, or an
            environment that cannot draw itself.
    """
    out = _check_out(Path(out))
    if max_steps < 1:
        raise RecipeError(f"max_steps={max_steps}: must be at least 1")
    if fps is not None and not 1 <= fps <= MOST_FPS:
        raise RecipeError(f"fps={fps}: must be between 1 and {MOST_FPS}")
    recipe, agent = load_agent(run)
    env, view = open_view(recipe)
    try:
        episode = play(agent, env, view, stream_seed(seed, f"watch {canonical(recipe.env)}"), max_steps)
        own_fps, names = view.fps, view.actions
    finally:
        env.close()
        view.close()
    if not names:
        names = _known_names(recipe.env) or [str(a) for a in range(len(episode.values[0]))]
    caption = _caption(recipe, agent, names)
    write = _write_gif if out.suffix.lower() == ".gif" else _write_mp4
    frames = _publish(out, lambda file: write(file, episode, caption, fps, own_fps, progress))
    return {"out": str(out), "steps": len(episode), "return": sum(episode.rewards), "frames": frames}


@torch.no_grad()
def play(agent: Any, env: VectorEnv, view: View, seed: int, max_steps: int) -> Episode:
    """One greedy episode of the first environment of `env`."""
    device = next(agent.network.parameters()).device
    episode = Episode()
    observation, _ = env.reset(seed=seed)
    view.reset(seed)
    for _ in range(max_steps):
        episode.add_frame(view.frame(observation[0]))
        dtype = torch.float32 if observation.dtype == np.float64 else None
        outputs_AK = agent.network(torch.as_tensor(observation[:1], dtype=dtype, device=device))[0].float()
        values_A = agent.value_loss.decode(outputs_AK)
        action = int(values_A.argmax())
        observation, reward, terminated, truncated, _ = env.step(np.array([action]))
        view.follow(action, float(reward[0]))
        episode.outputs.append(outputs_AK.cpu().numpy())
        episode.values.append(values_A.cpu().numpy())
        episode.actions.append(action)
        episode.rewards.append(float(reward[0]))
        episode.terminated = bool(terminated[0])
        # The next observation, and what the environment would draw now, belong to another episode.
        if terminated[0] or truncated[0]:
            break
    return episode


class View:
    """How an environment is seen: its frames, its speed and the names of its actions."""

    fps = 30
    actions: list[str] | None = None

    def reset(self, seed: int) -> None:
        """The environment was reset."""

    def follow(self, action: int, reward: float) -> None:
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
        self.fps = int(env.metadata.get("render_fps") or 30)
        single = env.envs[0].unwrapped
        if hasattr(single, "get_action_meanings"):
            self.actions = [short_name(str(name)) for name in single.get_action_meanings()]

    def frame(self, observation: np.ndarray) -> np.ndarray:
        """The environment's own picture."""
        try:
            frame = self.env.render()[0]
        except (NotImplementedError, ImportError, TypeError, gym.error.Error) as error:
            raise _cannot_draw(self.name, error) from None
        if not isinstance(frame, np.ndarray) or frame.ndim != 3 or frame.shape[2] != 3:
            raise _cannot_draw(self.name, "its render() gives no picture of shape [H, W, 3]")
        return frame if frame.dtype == np.uint8 else (255 * frame).clip(0, 255).astype(np.uint8)


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

    def follow(self, action: int, reward: float) -> None:
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


def open_view(recipe: Recipe) -> tuple[VectorEnv, View]:
    """The recipe's environment, and what shows it.

    Raises:
        RecipeError: it cannot draw itself.
    """
    family = protocol_of(recipe.env).name
    if family == "atari-sticky":
        return make_env(recipe.env, 1, recipe.env_options), AtariScreen(recipe)
    if family == "minatar-sticky":
        env = make_env(recipe.env, 1, recipe.env_options)
        return env, Grid(env)
    try:
        env = make_env(recipe.env, 1, recipe.env_options, render_mode="rgb_array")
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


def _known_names(env: str) -> tuple[str, ...] | None:
    name = env.rpartition(":")[2]
    return next((words for key, words in ACTIONS.items() if name.startswith(key)), None)


def _caption(recipe: Recipe, agent: Any, names: Sequence[str]) -> Caption:
    support, steps = getattr(agent.value_loss, "support", None), style.compact(recipe.steps)
    return Caption(
        title=style.title(recipe.agent, recipe.value_loss.name),
        subtitle=f"{recipe.env}  ·  greedy policy after {steps} steps, seed {recipe.seed}",
        actions=names,
        gamma=recipe.gamma,
        clip=recipe.reward_clip,
        edges=None if support is None else support.edges.cpu().numpy().astype(np.float64),
    )


def _cannot_draw(env: str, why: object) -> RecipeError:
    return RecipeError(
        f"{env}: cannot draw itself, so there is nothing to film: {' '.join(str(why).split())}"
    )


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color[1:]))


# --- the file ---


def _check_out(out: Path) -> Path:
    if out.suffix.lower() not in (".mp4", ".gif"):
        raise RecipeError(f"{out}: films are .mp4 or .gif, not {out.suffix or 'without a suffix'}")
    if out.is_dir():
        raise RecipeError(f"{out}: is a folder")
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise RecipeError(f"{out}: cannot be written: {folder} is no folder that you may write to")
    if out.suffix.lower() == ".mp4":
        import imageio_ffmpeg

        try:
            imageio_ffmpeg.get_ffmpeg_exe()
        except RuntimeError:
            raise RecipeError(
                f"{out}: an mp4 needs ffmpeg, which is not installed; a .gif does not"
            ) from None
    return out


def _publish(out: Path, write: Callable[[Path], int]) -> int:
    """Lets `write` make a file beside `out`, then renames it; on failure nothing is left."""
    temporary = out.with_name(f".{out.stem}.{os.getpid()}{out.suffix.lower()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        frames = write(temporary)
        os.replace(temporary, out)
    except OSError as error:
        raise RecipeError(f"{out}: cannot be written: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return frames


def _pictures(picture: Picture, every: int, hold: int, progress: Progress) -> Iterator[np.ndarray]:
    """Every so-manieth step, and at last the end of the episode, `hold` times."""
    steps = len(picture.episode)
    for t in range(0, steps, every):
        yield picture(t)
        if progress is not None:
            progress(t + 1, steps)
    end = picture(steps - 1, over=True)
    for _ in range(hold):
        yield end
    if progress is not None:
        progress(steps, steps)


def _write_mp4(
    file: Path, episode: Episode, caption: Caption, fps: int | None, own_fps: int, progress: Progress
) -> int:
    """H.264 that every player shows; the end stays for a second."""
    import imageio_ffmpeg

    picture, fps = Picture(episode, caption), min(fps or own_fps, MOST_FPS)
    writer = imageio_ffmpeg.write_frames(
        str(file),
        (picture.width, picture.height),
        fps=fps,
        codec="libx264",
        quality=None,
        macro_block_size=2,
        ffmpeg_log_level="error",
        output_params=["-crf", "20", "-preset", "veryfast", "-movflags", "+faststart"],
    )
    frames = 0
    writer.send(None)
    try:
        for array in _pictures(picture, 1, fps, progress):
            writer.send(array)
            frames += 1
    finally:
        writer.close()
    return frames


def _write_gif(
    file: Path, episode: Episode, caption: Caption, fps: int | None, own_fps: int, progress: Progress
) -> int:
    """A GIF with one palette for all pictures; the end stays for two seconds."""
    picture = Picture(episode, caption, GIF_WIDTH)
    every = -(-len(episode) // GIF_PICTURES)
    fps = fps or min(max(round(own_fps / every), GIF_FPS[0]), GIF_FPS[1])
    colors = _palette(picture)
    images = (
        Image.fromarray(array).quantize(palette=colors, dither=Image.Dither.NONE)
        for array in _pictures(picture, every, 1, progress)
    )
    count = len(range(0, len(episode), every)) + 1
    durations = [round(1000 / fps)] * (count - 1) + [2000]
    next(images).save(file, save_all=True, append_images=images, duration=durations, loop=0, optimize=False)
    return count


def _palette(picture: Picture) -> Image.Image:
    """The picture's own colours, and as many of the environment's frames as find room."""
    own = palette()
    steps = len(picture.episode)
    samples = [picture.episode.frame(t) for t in range(0, steps, -(-steps // 8))]
    frames = Image.fromarray(np.concatenate(samples)).quantize(GIF_COLORS - len(own))
    image = Image.new("P", (1, 1))
    image.putpalette([*(c for color in own for c in color), *(frames.getpalette() or [])][: 3 * GIF_COLORS])
    return image
