"""Episodes of a robot by scripted experts with noise of stated strength, as a dataset.

Every episode has levels of its own: sigma ~ U(0, s) of normal noise on each number of every action, and a
chance ~ U(0, min(s, 1/2)) that a step begins a stretch of steps whose actions are uniformly random; s is one
of the `noise` that is asked for, in turn. In a share `wrong` of the episodes the expert takes a goal on the
other side of the object for its own: noise is on average what the expert does, and this is not.

An episode is decided by the seed and its own number alone, so that a dataset is the same whoever made which
part of it, and after whatever interruptions.

Work is done in chunks of episodes, each a file that is whole or not there. The dataset is written when all
are; until then its folder is none.

Legend: M transitions, T steps of one episode, D numbers of an observation.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from catzoo.hparams import RecipeError
from catzoo.zoo.datasets.chunk_pool import each_chunk
from catzoo.zoo.datasets.held_folders import Columns, held_folder, read_part, write_part
from catzoo.zoo.datasets.robot_experts import EXPERTS, expert_of
from catzoo.zoo.environments.making import make_env, stream_seed
from catzoo.zoo.environments.meta_world import META_WORLD
from catzoo.zoo.environments.protocols import protocol_of
from catzoo.zoo.system.atomic_files import write_atomically
from catzoo.zoo.system.provenance import versions

CHUNK = 20
"""Episodes of a file."""
STRETCH = 5
"""Steps whose actions are random together."""
SETTINGS = "settings.json"
COLUMNS = (
    "observation", "action", "reward", "next_observation", "terminated", "next_action", "return_to_go",
    "episode",
)  # fmt: skip
"""In the order of the dataset."""


@dataclass(frozen=True)
class Asked:
    """What decides a dataset."""

    env: str
    episodes: int
    noise: tuple[float, ...]
    seed: int
    gamma: float
    wrong: float = 0.0
    camera: int | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Of the environment."""
        return {} if self.camera is None else {"camera": self.camera}

    def problem(self) -> str | None:
        """What of it cannot be."""
        if self.env not in EXPERTS and not self.env.startswith(META_WORLD):
            return f"--env {self.env!r:.80}: there are experts for {', '.join(EXPERTS)} and {META_WORLD}*"
        if self.episodes < 1:
            return f"--episodes {self.episodes}: must be at least 1"
        if not self.noise or not all(0 <= level <= 1 for level in self.noise):
            return f"--noise {' '.join(map(str, self.noise))}: levels must be from 0 to 1"
        for name in ("gamma", "wrong"):
            if not 0 <= getattr(self, name) <= 1:
                return f"--{name} {getattr(self, name)}: must be from 0 to 1"
        if self.wrong and self.env.startswith(META_WORLD):
            return f"--wrong {self.wrong}: is for the Fetch arm: some experts of Meta-World look at no goal"
        if self.camera and self.env.startswith(META_WORLD):
            return f"--camera {self.camera}: is for the Fetch arm"
        return None


def make_robot_episodes(
    env: str,
    out: Path,
    *,
    episodes: int = 1_200,
    noise: Sequence[float] = (0.2, 0.4),
    seed: int = 0,
    gamma: float = 0.98,
    wrong: float = 0.0,
    camera: int | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Plays the episodes and writes them as a dataset of transitions; goes on where it was interrupted.

    Args:
        env: of `EXPERTS`, or a task of Meta-World.
        out: the dataset's folder.
        episodes: how many.
        noise: levels s, from 0 to 1, which episodes take in turn.
        seed: decides all of them.
        gamma: discount of the column `return_to_go`.
        wrong: share of the episodes in which the expert goes for a wrong goal.
        camera: pixels of a picture's side, for observations that are pictures; None: the numbers.
        workers: processes.
        progress: called with the episodes that are done and all.

    Returns:
        The manifest, with the data's own `success` and the `mean_length` of its successes.

    Raises:
        RecipeError: what cannot be, a folder with other data or a damaged file, or one that cannot be written
            or that another process holds.
    """
    asked = Asked(env, episodes, tuple(map(float, noise)), seed, gamma, wrong, camera)
    if problem := asked.problem():
        raise RecipeError(problem)
    make_env(env, 1, asked.options).close()  # says what is missing, once
    chunks = out / "chunks"
    with held_folder(out, "making this dataset"):
        if (finished := _begin(asked, out, chunks)) is not None:
            return finished
        numbers = range(-(-episodes // CHUNK))
        missing = [number for number in numbers if not _path(chunks, number).exists()]
        for done in each_chunk(partial(_play_chunk, asked, chunks), missing, workers):
            progress(min((len(numbers) - len(missing) + done) * CHUNK, episodes), episodes)
        manifest = _write(asked, out, [_path(chunks, number) for number in numbers])
        shutil.rmtree(chunks)
        return manifest


def _begin(asked: Asked, out: Path, chunks: Path) -> dict[str, Any] | None:
    """Makes the folder of chunks, or looks at what there is: the manifest of a dataset that is finished."""
    from catzoo.agents.replay import Dataset
    from catzoo.agents.replay.dataset import MANIFEST

    own = json.loads(json.dumps(asdict(asked)))
    try:
        if (out / MANIFEST).exists():
            manifest = Dataset(out).manifest
            if not _same(manifest.get("asked"), own):
                raise RecipeError(f"{out}: holds another dataset: {_in_words(manifest.get('asked'))}")
            shutil.rmtree(chunks, ignore_errors=True)
            return manifest
        chunks.mkdir(parents=True, exist_ok=True)
        if (chunks / SETTINGS).exists():
            other = json.loads((chunks / SETTINGS).read_text(encoding="utf-8"))
            if not _same(other, own):
                raise RecipeError(f"{out}: holds a part of another dataset: {_in_words(other)}")
        write_atomically(chunks / SETTINGS, json.dumps(own))
    except RecipeError:
        raise
    except (OSError, ValueError) as error:
        raise RecipeError(f"{out}: {getattr(error, 'strerror', None) or error}") from None
    return None


def _same(before: Any, own: dict[str, Any]) -> bool:
    """Whether a dataset was asked for by the same; those of before there were cameras say nothing of one."""
    return isinstance(before, dict) and {"camera": None, **before} == own


def _in_words(asked: Any) -> str:
    return ", ".join(f"{key} {value}" for key, value in dict(asked or {}).items()) or "of another kind"


def _path(chunks: Path, number: int) -> Path:
    return chunks / f"{number:06}.npz"


def _play_chunk(asked: Asked, chunks: Path, number: int) -> None:
    """Plays a chunk of episodes into its file."""
    env = make_env(asked.env, 1, asked.options)
    first = number * CHUNK
    played = [play(asked, env, one) for one in range(first, min(first + CHUNK, asked.episodes))]
    env.close()
    columns = {name: np.concatenate([one[name] for one in played]) for name in COLUMNS}
    write_part(_path(chunks, number), columns)


def play(asked: Asked, env: Any, number: int) -> Columns:
    """One episode [T, ...]: the environment's and the noise's streams begin with its number."""
    random = np.random.default_rng(stream_seed(asked.seed, f"robot noise {number}"))
    level = asked.noise[number % len(asked.noise)]
    sigma, chance = random.uniform(0, level), random.uniform(0, min(level, 0.5))
    expert = expert_of(asked.env)
    observation, _ = env.reset(seed=stream_seed(asked.seed, f"robot episode {number}"))
    observations, actions, terminated, over = [observation[0]], [], False, False
    mistaken = asked.wrong > 0 and random.random() < asked.wrong
    stretch = 0  # random steps that are left
    while not over:
        stretch = STRETCH if stretch == 0 and random.random() < chance else max(stretch - 1, 0)
        seen = observation[0] if asked.camera is None else env.unwrapped.get_attr("numbers")[0]
        seen = other_side(seen) if mistaken else seen
        action = expert(seen) + sigma * random.standard_normal(4)
        action = random.uniform(-1, 1, 4) if stretch else np.clip(action, -1, 1)
        actions.append(action.astype(np.float32))
        observation, _, terminal, truncated, info = env.step(actions[-1][None])
        terminated, over = bool(terminal[0]), bool(terminal[0] or truncated[0])
        observations.append(info["final_obs"][0] if over else observation[0])
    steps = len(actions)
    reward = np.zeros(steps, np.float32)
    reward[-1] = terminated
    return {
        "observation": np.stack(observations[:-1]),
        "action": np.stack(actions),
        "reward": reward,
        "next_observation": np.stack(observations[1:]),
        "terminated": reward == 1,
        "next_action": np.stack([*actions[1:], np.full(4, np.nan, np.float32)]),
        "return_to_go": (reward[-1] * asked.gamma ** np.arange(steps - 1, -1, -1)).astype(np.float32),
        "episode": np.full(steps, number, np.int32),
    }


def other_side(observation: np.ndarray) -> np.ndarray:
    """The same observation [D] with a goal as far away, and as high, beyond the object, or the gripper."""
    thing = observation[3:5] if len(observation) > 13 else observation[:2]
    goal = np.array([*(2 * thing - observation[-3:-1]), observation[-1]], np.float32)
    return np.concatenate([observation[:-3], goal])


def _write(asked: Asked, out: Path, paths: Sequence[Path]) -> dict[str, Any]:
    """The dataset of all chunks."""
    import torch

    from catzoo.agents.replay import write_dataset

    parts = [read_part(path) for path in paths]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}
    lengths = np.bincount(columns["episode"], minlength=asked.episodes)
    succeeded = np.zeros(asked.episodes, bool)
    succeeded[columns["episode"][columns["terminated"]]] = True
    success = float(succeeded.mean())
    about = {
        "env": asked.env,
        "protocol": protocol_of(asked.env, asked.options).to_dict(),
        "seed": asked.seed,
        "asked": asdict(asked),
        "num_actions": 0,
        "gamma": asked.gamma,
        "episodes": asked.episodes,
        "mean_return": success,
        "success": success,
        "mean_length": float(lengths[succeeded].mean()) if succeeded.any() else None,
        "versions": versions("gymnasium-robotics"),
    }
    dataset = write_dataset(
        out, "transitions", {name: torch.from_numpy(column) for name, column in columns.items()}, about
    )
    return dataset.manifest
