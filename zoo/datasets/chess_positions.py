"""Datasets of chess positions whose legal moves are labelled, from games that an engine plays against itself.

A folder for the games as they are played, and three datasets of kind `positions` when all are there:

| what | its content |
|---|---|
| `games/` | a file for each ten games, written whole: what is there is not played again |
| `train/` | labelled positions of nine games in ten |
| `test/` | of the others, without boards that `train/` has too |
| `mate-in-one/` | positions of the others, with a mating move: 1 for what mates, 0 for what does not |

Columns: `board` uint8 [N, 70] and `move` uint8 [P, 3] (see `environments/chess_board.py`), `value` float32
[P], `offset` int64 [N], where each position's moves end, and `game` int32 [N]: an interval over positions
would have to draw games, since positions of one are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from catzoo.hparams import RecipeError
from catzoo.hparams.json_text import from_json, to_json
from catzoo.version import __version__
from catzoo.zoo.datasets.chess_self_play import ENGINE_OPTIONS, Game, Plan, is_held_out, play, stacked
from catzoo.zoo.datasets.chunk_pool import each_chunk
from catzoo.zoo.datasets.held_folders import Columns, held_folder, read_part, write_part
from catzoo.zoo.environments.chess_board import import_chess
from catzoo.zoo.environments.uci_engine import UCIEngine, find_engine
from catzoo.zoo.system.atomic_files import write_atomically

CHUNK = 10
"""Games to a file: what a kill loses, for each worker."""
PARTS = ("train", "test", "mate-in-one")
ENV = "chess"
"""What the manifests call the world that they are of."""
RAGGED = ("move", "value")
"""Columns with a row for each move."""
PIECES = 69
"""Bytes of a board without the clock, by which two boards are the same."""


@dataclass(frozen=True)
class _Task:
    """What a worker needs to know."""

    plan: Plan
    engine: str
    folder: Path


def make_chess_positions(
    out: Path,
    *,
    games: int,
    depth: int = 6,
    seed: int = 0,
    max_plies: int = 200,
    workers: int = 1,
    engine: str | None = None,
    progress: Callable[[int], object] = lambda done: None,
) -> dict[str, int]:
    """Plays and labels games, and writes the datasets; goes on with what is there.

    The same games, whatever the number of workers. More games later keep those that are there.

    Args:
        out: the folder.
        games: how many, a multiple of 10.
        depth: of the labels' searches.
        seed: of the games.
        max_plies: half-moves of a game, at most.
        workers: processes, each with an engine of its own.
        engine: its program; None: Stockfish.
        progress: called with the games that are done.

    Returns:
        The number of positions in each part.

    Raises:
        RecipeError: no engine, no python-chess or an unusable number, before anything is written; games of
            another kind in the folder, a folder that cannot be written or that another process holds, or a
            damaged file in it.
    """
    check_games(games)
    task = _Task(Plan(seed, depth, max_plies), find_engine(engine), out / "games")
    import_chess()
    about = _about(task)
    there = _there(out, about)
    with held_folder(task.folder, "making these games"):
        _agree(task, about)
        # Before any game is played: the games themselves may have been deleted since.
        if PARTS[0] in there and all(manifest["games"] == games for manifest in there.values()):
            progress(games)
            return {part: there[part]["count"] if part in there else 0 for part in PARTS}
        chunks = range(games // CHUNK)
        missing = [chunk for chunk in chunks if not _file(task, chunk).is_file()]
        progress(games - len(missing) * CHUNK)
        for done in each_chunk(partial(_play_chunk, task), missing, workers):
            progress(games - (len(missing) - done) * CHUNK)
        return _gather(task, chunks, out, {"env": ENV, "catzoo": __version__, **about, "games": games})


def check_games(games: int) -> None:
    """Refuses a number of games that does not fill its files.

    Raises:
        RecipeError: in one line.
    """
    if games % CHUNK:
        raise RecipeError(f"games={games} must be a multiple of {CHUNK}")


def _about(task: _Task) -> dict[str, Any]:
    """What the games are made with."""
    with UCIEngine(task.engine) as engine:
        return {"engine": engine.name, "engine_options": ENGINE_OPTIONS, **asdict(task.plan)}


def _there(out: Path, about: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The manifests of the parts that are there; refuses datasets of anything else."""
    parts = [part for part in PARTS if (out / part).is_dir() and any((out / part).iterdir())]
    if not parts:
        return {}
    from catzoo.agents.replay.dataset import Dataset, DatasetError

    found, begun = {}, (out / "games" / "plan.json").is_file()
    for part in parts:
        try:
            found[part] = Dataset(out / part).manifest
        except DatasetError as error:
            if begun:  # a kill came while it was written
                continue
            raise RecipeError(f"{error}: name another folder") from None
        own = {"env": ENV, "part": part, **({} if begun else about)}  # `_agree` compares the games
        if any(found[part].get(key) != value for key, value in own.items()):
            raise RecipeError(f"{out / part} has positions of other games: name another folder")
    return found


def _agree(task: _Task, about: dict[str, Any]) -> None:
    """Writes down what the games are made with; refuses a folder of others."""
    path = task.folder / "plan.json"
    if not path.is_file():
        write_atomically(path, to_json(about))
    there = from_json(path.read_bytes())
    for key, value in about.items():
        if there.get(key) != value:
            raise RecipeError(
                f"{task.folder.parent}: its games have {key} {there.get(key)!r}, not {value!r}: "
                "name another folder, or go on as it began"
            )


def _file(task: _Task, chunk: int) -> Path:
    return task.folder / f"games-{chunk * CHUNK:07d}.npz"


def _play_chunk(task: _Task, chunk: int) -> None:
    """Plays a chunk's games and writes them, whole."""
    with UCIEngine(task.engine, ENGINE_OPTIONS) as engine:
        games = {game: play(engine, task.plan, game) for game in range(chunk * CHUNK, (chunk + 1) * CHUNK)}
    write_part(_file(task, chunk), _columns(games))


def _columns(games: dict[int, Game]) -> Columns:
    """The columns of a chunk's positions, and of its mates, by `positions_…` and `mates_…`."""
    columns = {}
    for kind in Game._fields:
        found = [(game, one) for game, played in games.items() for one in getattr(played, kind)]
        own = {**stacked([one for _, one in found]), "game": np.array([game for game, _ in found], np.int32)}
        columns |= {f"{kind}_{name}": column for name, column in own.items()}
    return columns


def _gather(task: _Task, chunks: Iterable[int], out: Path, about: dict[str, Any]) -> dict[str, int]:
    """Writes the datasets from the chunks."""
    parts: dict[str, list[Columns]] = {part: [] for part in PARTS}
    for chunk in chunks:
        columns = read_part(_file(task, chunk))
        positions, mates = (
            {name.removeprefix(f"{kind}_"): columns[name] for name in columns if name.startswith(kind)}
            for kind in Game._fields
        )
        held = np.array([is_held_out(int(game)) for game in positions["game"]], bool)
        parts["train"].append(_some(positions, ~held))
        parts["test"].append(_some(positions, held))
        parts["mate-in-one"].append(mates)
    whole = {part: _joined(pieces) for part, pieces in parts.items()}
    seen = {board.tobytes() for board in whole["train"]["board"][:, :PIECES]}
    for part in PARTS[1:]:
        new = [board.tobytes() not in seen for board in whole[part]["board"][:, :PIECES]]
        whole[part] = _some(whole[part], np.array(new, bool))
    # The first one last: where it says so many games, all do.
    counts = {part: _write(out / part, whole[part], about) for part in reversed(PARTS)}
    return {part: counts[part] for part in PARTS}


def _some(columns: Columns, wanted: np.ndarray) -> Columns:
    """Those of the positions that are wanted: bool [N]."""
    lengths = np.diff(columns["offset"], prepend=0)
    rows = np.repeat(wanted, lengths)
    some = {name: column[rows if name in RAGGED else wanted] for name, column in columns.items()}
    return {**some, "offset": np.cumsum(lengths[wanted], dtype=np.int64)}


def _joined(pieces: list[Columns]) -> Columns:
    """Positions one after the other."""
    starts = np.cumsum([0, *(len(piece["move"]) for piece in pieces[:-1])])
    joined = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    moved = [piece["offset"] + start for piece, start in zip(pieces, starts, strict=True)]
    return {**joined, "offset": np.concatenate(moved)}


def _write(folder: Path, columns: Columns, about: dict[str, Any]) -> int:
    """Writes a part; returns its number of positions, 0 where it has none and is not written."""
    import torch

    from catzoo.agents.replay.dataset import MANIFEST, write_dataset

    count = len(columns["board"])
    if not count:  # an earlier one, of fewer games, may have had some
        (folder / MANIFEST).unlink(missing_ok=True)
    else:
        tensors = {name: torch.from_numpy(column) for name, column in columns.items()}
        write_dataset(folder, "positions", tensors, {**about, "part": folder.name}, ragged=RAGGED)
    return count
