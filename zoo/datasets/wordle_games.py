"""Games of Wordle by a player of known quality: `catzoo data wordle`.

Each guess is, with probability `quality`, a random word that fits all that is known, else any random word
(LMRL-Gym's mixture, arXiv 2311.18232). With 200 words a quality of 0.25 wins 63 % of its games, and 1 all.

Legend: G games, W words.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from catzoo.hparams import RecipeError
from catzoo.version import __version__
from catzoo.zoo.datasets.held_folders import held_folder
from catzoo.zoo.environments.protocols import protocol_of
from catzoo.zoo.environments.wordle_rules import (
    CHOICES,
    GREEN,
    LENGTH,
    SIZES,
    TRIES,
    colour_table,
    letters_of,
    tokens_of,
    words_of,
)

AT_ONCE = 2_000
"""Games played side by side: W bytes each for what fits."""
RIGHT = GREEN * (3**LENGTH - 1) // 2
"""All five green, as a number of base 3."""


def make_wordle_games(
    env: str,
    out: str | os.PathLike[str],
    *,
    games: int,
    quality: float = 0.25,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Plays games and writes them as a dataset of sequences.

    Args:
        env: `wordle/200` or another size.
        out: the dataset's folder. If exactly this is there already, nothing is done.
        games: how many; the answer of each is any word.
        quality: share of the guesses that fit what is known, in [0, 1].
        seed: of everything.
        progress: called with the number of games done.

    Returns:
        What the manifest says of them: `success`, the share that was won, and `mean_return` among it.

    Raises:
        RecipeError: a value that is out of range, another environment, or a folder with something else,
            that cannot be written, or that another process holds.
    """
    about = {"env": env, "quality": quality, "seed": seed, "games": games}
    words = _words_of(env)
    if games < 1:
        raise RecipeError(f"games={games}: must be at least 1")
    if not 0 <= quality <= 1:
        raise RecipeError(f"quality={quality:g}: must be from 0 to 1")
    with held_folder(Path(out), "making this dataset"):
        found = _there(Path(out), about)
        return _made(words, Path(out), about, progress) if found is None else found


def _made(
    words: int, out: Path, about: dict[str, Any], progress: Callable[[int], None] | None
) -> dict[str, Any]:
    """Plays and writes them: the manifest."""
    from catzoo.agents.replay import write_dataset

    games, quality, seed = (about[key] for key in ("games", "quality", "seed"))
    random, done = np.random.default_rng([seed, words]), 0
    parts: list[dict[str, np.ndarray]] = []
    while done < games:
        parts.append(play_mixture(words, random, min(AT_ONCE, games - done), quality))
        done += len(parts[-1]["won"])
        if progress is not None:
            progress(done)
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    columns = _columns(whole)
    about |= {
        "catzoo": __version__,
        "protocol": protocol_of(about["env"]).to_dict(),
        "success": float(whole["won"].mean()),
        "mean_return": float(columns["reward"].sum(1).mean()),
        "mean_guesses": float(whole["played"].mean()),
    }
    return write_dataset(out, "sequences", columns, about).manifest


def play_mixture(
    words: int, random: np.random.Generator, games: int, quality: float
) -> dict[str, np.ndarray]:
    """Games of the mixture: `answer` [G], `guess` [G, 6] (words), `played` [G] guesses, `won` [G]."""
    table = colour_table(words)
    answer, guess = random.integers(words, size=games), np.zeros((games, TRIES), np.int64)
    fits, played, won = np.ones((games, words), bool), np.full(games, TRIES), np.zeros(games, bool)
    for turn in range(TRIES):
        anywhere = random.integers(words, size=games)
        fitting = (random.random((games, words), np.float32) * fits).argmax(1)
        guess[:, turn] = np.where(random.random(games) < quality, fitting, anywhere)
        colour = table[guess[:, turn], answer]
        fits &= table[guess[:, turn]] == colour[:, None]
        now = ~won & (colour == RIGHT)
        played[now] = turn + 1
        won |= now
    return {"answer": answer, "guess": guess, "played": played, "won": won, "words": np.full(games, words)}


def _columns(whole: dict[str, np.ndarray]) -> dict[str, Any]:
    """Games as the columns of a dataset of sequences."""
    import torch

    from catzoo.agents.replay.dataset_kinds import NO_ACTION

    words, played, won = int(whole["words"][0]), whole["played"], whole["won"]
    letters, table = letters_of(words_of(words)), colour_table(words)
    guesses = letters[whole["guess"]].astype(np.int64)
    number = table[whole["guess"], whole["answer"][:, None]].astype(np.int64)
    colours = number[..., None] // 3 ** np.arange(LENGTH) % 3
    live = np.repeat(np.arange(TRIES) < played[:, None], LENGTH, 1)
    wrong = np.arange(TRIES) < (played - won)[:, None]
    reward = np.zeros((len(won), TRIES, LENGTH), np.float32)
    reward[:, :, -1] = np.where(wrong, -1.0, 0.0)
    action = np.where(live, guesses.reshape(-1, CHOICES), NO_ACTION).astype(np.int8)
    return {
        "tokens": torch.from_numpy(tokens_of(guesses, colours, played)),
        "action": torch.from_numpy(action),
        "reward": torch.from_numpy(reward.reshape(-1, CHOICES)),
    }


def _words_of(env: str) -> int:
    names = {f"wordle/{size}": size for size in SIZES}
    if env not in names:
        raise RecipeError(f"{env}: games of Wordle are played with {', '.join(names)}")
    return names[env]


def _there(out: Path, about: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest of a dataset that is there already; None if the folder is free.

    Raises:
        RecipeError: it holds something else.
    """
    from catzoo.agents.replay import Dataset, DatasetError

    if not any(out.iterdir()):
        return None
    try:
        manifest = Dataset(out).manifest
    except DatasetError:
        only = {path.suffix for path in out.iterdir()} <= {".memmap", ".tmp"}  # what a killed start left
        if only:
            return None
        raise RecipeError(f"{out}: holds something else; --out names a new folder") from None
    if any(manifest.get(key) != value for key, value in about.items()):
        raise RecipeError(f"{out}: holds another dataset; --out names a new folder")
    return manifest
