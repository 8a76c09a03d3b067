"""`watch`: one greedy episode as a film, with the value distribution of every action taken beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from PIL import Image

from catzoo.agents.collecting.finite import check_finite
from catzoo.hparams import Recipe, RecipeError
from catzoo.hparams.paths import Typed, path_of
from catzoo.zoo.environments.making import stream_seed
from catzoo.zoo.environments.names import canonical
from catzoo.zoo.pictures import style
from catzoo.zoo.system.atomic_files import published
from catzoo.zoo.system.disk_space import check_writable
from catzoo.zoo.training.torch_state import own_torch
from catzoo.zoo.training.weights import open_agent
from catzoo.zoo.watch.environment_views import View, known_names, open_view
from catzoo.zoo.watch.step_picture import Caption, Episode, Picture, palette

GIF_WIDTH = 800
GIF_PICTURES = 150
"""A GIF shows about so many steps of its episode: longer ones are skipped through."""
GIF_FPS = (10, 20)
"""Slowest and fastest of a GIF whose speed was left to us."""
GIF_COLORS = 128
MOST_FPS = 120
Progress = Callable[[int, int], None] | None


@own_torch()
def watch(
    run: Typed,
    out: Typed,
    *,
    seed: int = 0,
    max_steps: int = 3000,
    fps: int | None = None,
    game: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    best: bool = False,
    trust: bool = False,
) -> dict[str, Any]:
    """Films one episode of the greedy policy of a finished run.

    Beside the environment's frame stand the value distribution of the chosen action with its mean, the Q of
    every action, and the value over the episode, with the discounted return that then followed.

    Args:
        run: the run's folder, or the name of one of the zoo's own trained agents.
        out: an .mp4, or a .gif (smaller, and skipping through a long episode); replaced when complete.
        seed: of the episode; another one is another episode.
        max_steps: where to cut an episode that does not end.
        fps: pictures a second; by default the environment's own speed.
        game: of a run with several, the one to play; the first by default.
        progress: called with (steps drawn, steps of the episode).
        best: see `load_agent`.
        trust: see `load_agent`.

    Returns:
        `out` (the path), `steps`, `return` (undiscounted, unclipped), `frames` (pictures in the film).

    Raises:
        RecipeError: another kind of file, a folder that cannot be written, not a finished run, or an
            environment that cannot draw itself.
    """
    typed = check_film(path_of(out))
    out = typed.absolute()  # though the environment may go to another folder
    if max_steps < 1:
        raise RecipeError(f"max_steps={max_steps}: must be at least 1")
    if fps is not None and not 1 <= fps <= MOST_FPS:
        raise RecipeError(f"fps={fps}: must be between 1 and {MOST_FPS}")
    recipe, agent = open_agent(run, best=best, trust=trust)
    episode, caption, own_fps = play_run(recipe, agent, seed, max_steps, game=game)
    write = _write_gif if out.suffix.lower() == ".gif" else _write_mp4
    frames = publish_film(out, lambda file: write(file, episode, caption, fps, own_fps, progress))
    return {"out": str(typed), "steps": len(episode), "return": sum(episode.rewards), "frames": frames}


def play_run(
    recipe: Recipe,
    agent: Any,
    seed: int,
    max_steps: int,
    *,
    game: str | None = None,
    drawn: Callable[[int], range] | None = None,
) -> tuple[Episode, Caption, int]:
    """One greedy episode of a run, what is to be written on its pictures, and its own pictures a second.

    Args:
        recipe: of the run.
        agent: of the run.
        seed, max_steps, game: see `watch`.
        drawn: of which steps a frame is wanted, by the pictures a second; of all by default.

    Raises:
        RecipeError: the environment cannot draw itself, or there is no such game.
    """
    env, view = open_view(recipe, game)
    try:
        stream = stream_seed(seed, f"watch {canonical(recipe.env)}")
        episode = play(agent, env, view, stream, max_steps, None if drawn is None else drawn(view.fps))
        own_fps, names = view.fps, view.actions
    finally:
        env.close()
        view.close()
    shown = dataclasses.replace(recipe, env=game or recipe.games[0])
    count = len((episode.numbers or episode.chances or episode.values)[0])
    names = [] if episode.numbers else names or known_names(shown.env) or []
    # Of several games the common space may have more actions than the one that is played.
    names = [*names, *(str(action) for action in range(len(names), count))]
    return episode, _caption(shown, agent, names), own_fps


@torch.no_grad()
def play(
    agent: Any, env: VectorEnv, view: View, seed: int, max_steps: int, drawn: range | None = None
) -> Episode:
    """One greedy episode of the first environment of `env`; of a step that is not `drawn` the last frame."""
    device = next(agent.network.parameters()).device
    episode = Episode()
    observation, _ = env.reset(seed=seed)
    view.reset(seed)
    for t in range(max_steps):
        if drawn is None or t in drawn or not t:
            episode.add_frame(view.frame(observation[0]))
        else:
            episode.frames.append(episode.frames[-1])
        dtype = torch.float32 if observation.dtype == np.float64 else None
        seen = torch.as_tensor(observation[:1], dtype=dtype, device=device)
        outputs_1AK, action_1 = agent.appraise(seen)
        outputs_AK, action = outputs_1AK[0].float(), action_1.cpu().numpy()
        if agent.from_a_list:  # of the others nobody knows what they are
            outputs_AK = outputs_AK[action]
        values_A = agent.value_loss.decode(outputs_AK) * agent.unit
        observation, reward, terminated, truncated, _ = env.step(action)
        check_finite(env, "reward", reward[None], [len(episode) + 1])
        check_finite(env, "observation", observation[None], [len(episode) + 1])
        view.follow(action[0], float(reward[0]))
        episode.outputs.append(outputs_AK.cpu().numpy())
        episode.values.append(values_A.cpu().numpy())
        if action.ndim > 1:
            episode.numbers.append(action[0])
        elif (chances_1A := agent.chances(seen)) is not None:
            episode.chances.append(chances_1A[0].cpu().numpy())
        episode.actions.append(0 if len(values_A) == 1 else int(action[0]))
        episode.rewards.append(float(reward[0]))
        episode.terminated = bool(terminated[0])
        # The next observation, and what the environment would draw now, belong to another episode.
        if terminated[0] or truncated[0]:
            break
    return episode


def _caption(recipe: Recipe, agent: Any, names: Sequence[str]) -> Caption:
    support, steps = getattr(agent.value_loss, "support", None), style.compact(agent.trained_steps)
    return Caption(
        title=style.title(recipe.agent, recipe.value_loss.name),
        subtitle=f"{recipe.env}  ·  greedy policy after {steps} steps, seed {recipe.seed}",
        actions=names,
        gamma=recipe.gamma,
        clip=recipe.reward_clip,
        of_states=agent.values_states,
        edges=None if support is None else support.edges.cpu().numpy().astype(np.float64) * agent.unit,
    )


# --- the file ---


def check_film(out: Path) -> Path:
    if out.suffix.lower() not in (".mp4", ".gif"):
        raise RecipeError(f"{out}: films are .mp4 or .gif, not {out.suffix or 'without a suffix'}")
    check_writable(out)
    if out.suffix.lower() == ".mp4":
        import imageio_ffmpeg

        try:
            imageio_ffmpeg.get_ffmpeg_exe()
        except RuntimeError:
            raise RecipeError(
                f"{out}: an mp4 needs ffmpeg, which is not installed; a .gif does not"
            ) from None
    return out


def publish_film(out: Path, write: Callable[[Path], int]) -> int:
    """Lets `write` make a file beside `out`, then renames it; on failure nothing is left."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with published(out) as file:
            return write(file)
    except OSError as error:
        # imageio reports a dead ffmpeg as an OSError without a number, its command and words in the text.
        said = str(error).rpartition("OUTPUT:")[2].split()
        why = error.strerror or f"the encoder failed: {' '.join(said)[-200:] or 'it says nothing'}"
        raise RecipeError(f"{out}: cannot be written: {why}") from None


def _pictures(picture: Picture, every: int, hold: int, progress: Progress) -> Iterator[np.ndarray]:
    """The picture of every so many steps, then `hold` times that of the episode's end."""
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
    """A picture of every step; the end stays for a second."""
    picture, fps = Picture(episode, caption), min(fps or own_fps, MOST_FPS)
    options = ("-crf", "20", "-preset", "veryfast")
    pictures = _pictures(picture, 1, fps, progress)
    return encode_mp4(file, pictures, (picture.width, picture.height), fps, options)


def encode_mp4(
    file: Path, pictures: Iterable[np.ndarray], size: tuple[int, int], fps: float, options: Sequence[str]
) -> int:
    """H.264 that every player shows, of uint8 pictures [H, W, 3]; returns how many there were.

    `size` is W and H, both even; `options` are the encoder's.
    """
    import imageio_ffmpeg

    writer = imageio_ffmpeg.write_frames(
        str(file),
        size,
        fps=fps,
        codec="libx264",
        quality=None,
        macro_block_size=2,
        ffmpeg_log_level="error",
        output_params=[*options, "-movflags", "+faststart"],
    )
    frames = 0
    writer.send(None)
    try:
        for array in pictures:
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
    # In milliseconds; GIF counts hundredths of a second, and players take one alone for ten.
    durations = [10 * max(round(100 / fps), 2)] * (count - 1) + [2000]
    next(images).save(file, save_all=True, append_images=images, duration=durations, loop=0, optimize=False)
    return count


def _palette(picture: Picture) -> Image.Image:
    """The picture's own colours, and as many of the environment's frames as find room."""
    steps = len(picture.episode)
    samples = [picture.episode.frame(t) for t in range(0, steps, -(-steps // 8))]
    own = palette()
    frames = Image.fromarray(np.concatenate(samples)).quantize(GIF_COLORS - len(own)).getpalette() or []
    # Pillow rounds before it looks for the nearest colour: nothing but white may be close to white.
    colors = [color for color in [*own, *_triples(frames)] if min(color) < 246 or color == own[0]]
    colors += colors[:1] * (256 - len(colors))  # the rest would be a ramp of greys
    image = Image.new("P", (1, 1))
    image.putpalette([channel for color in colors for channel in color])
    return image


def _triples(channels: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return zip(*[iter(channels)] * 3, strict=True)
