"""`gallery`: trained agents on one page, each with a film, its learning curve and its card."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from catzoo.hparams import NoRoomError, RecipeError
from catzoo.hparams.paths import Typed
from catzoo.version import __version__
from catzoo.zoo.catalogue.pretrained import find_run, pretrained
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.gallery.agent_cards import Card, card_of
from catzoo.zoo.gallery.gallery_folder import Film, GalleryFolder, key_of
from catzoo.zoo.pictures.learning_curve import learning_curve
from catzoo.zoo.reporting.finished_runs import find_runs, named
from catzoo.zoo.reporting.page_templates import template
from catzoo.zoo.system.atomic_files import write_atomically, writing
from catzoo.zoo.system.console import pasteable
from catzoo.zoo.system.digits import digits_of, typeset
from catzoo.zoo.system.file_locks import held_path

SECONDS = 6.0
MOST_SECONDS = 60.0
Progress = Callable[[int, int, str], None] | None


def gallery(
    out: Typed,
    agents: Typed | Iterable[Typed] = (),
    *,
    seconds: float = SECONDS,
    seed: int = 0,
    trust: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Shows trained agents on one page: a small film, the learning curve, and a card with score and recipe.

    The same call on the same folder makes only the films that are missing, or whose agent has changed. An
    agent that cannot be filmed here, for want of an extra, has a line that says why in the film's place.

    Args:
        out: the folder: index.html, which opens without a server, gallery.json, and an .mp4 and a .webp for
            each agent.
        agents: names of the zoo's own trained agents, runs' folders, or folders with runs at any depth; all
            of the zoo's own by default. A run has its learning curve if its metrics are there: the zoo's own
            come without.
        seconds: of each film, at most.
        seed: of the episodes.
        trust: import the packages that runs' environments name, see `load_agent`.
        progress: called with (agents done, agents, the name of the one that is begun).

    Returns:
        `page` (the path of index.html), `filmed` and `kept` (names), `without` (names to why there is no
        film), and `notes` (what was left out, in sentences).

    Raises:
        RecipeError: no such agent or run, none that is finished, a folder that holds something else (nothing
            is written then), or one that cannot be written.
    """
    if not 0 < seconds <= MOST_SECONDS:
        raise RecipeError(f"seconds={seconds:g}: must be above 0 and at most {MOST_SECONDS:g}")
    agents = [agents] if isinstance(agents, str | os.PathLike) else list(agents)
    folder = GalleryFolder(out)
    if folder.path.name in pretrained() and not folder.folder.exists():
        raise RecipeError(f"{folder.path}: is one of the zoo's trained agents: name a folder first")
    folder.films()
    runs, notes = _runs(agents)
    cards = [card_of(run, run.result() or {}, name, typed) for name, (run, typed) in runs.items()]
    folder.make()
    with held_path(folder.folder, "making a gallery in this folder"):
        before = folder.films()
        own = {name: run for name, (run, _) in runs.items()}
        folder.write(before, dict.fromkeys([*folder.names(), *own]))
        films, without, filmed = _make_films(folder, before, own, progress, seconds, seed, trust)
        curves = {name for name, run in own.items() if _draw_curve(folder, name, run)}
        options = ["--seconds", f"{seconds:g}"] * (seconds != SECONDS) + ["--seed", str(seed)] * (seed != 0)
        options += ["--trust"] * trust
        command = pasteable("catzoo", "gallery", folder.path, *map(Path, agents), *options)
        with writing(folder.page):
            write_atomically(folder.page, page(cards, films, without, curves, seed=seed, command=command))
            folder.clear(films, curves)
        folder.write(films, own)
    return {
        "page": folder.path / folder.page.name,
        "filmed": filmed,
        "kept": [name for name in films if name not in filmed],
        "without": without,
        "notes": notes,
    }


def _runs(agents: Sequence[Typed]) -> tuple[dict[str, tuple[Run, str]], list[str]]:
    """Finished runs and what commands call them, by the names that they have here; what to say of others.

    Raises:
        RecipeError: no such run, or none that is finished.
    """
    zoo = {path: name for name, path in pretrained().items()}
    found: dict[Path, tuple[Run, str]] = {}
    for folder in map(find_run, agents or pretrained()):
        for run in find_runs(folder):
            found.setdefault(run.path.resolve(), (run, zoo.get(run.path, str(run.path))))
    runs: dict[str, tuple[Run, str]] = {}
    unfinished = []
    for path, (run, typed) in found.items():
        if run.result() is None or not run.weights.is_file():
            unfinished.append(run.path)
        else:
            runs[_free(path.name, runs)] = (run, typed)
    if not runs:
        names = named(unfinished)
        raise RecipeError(f"no run is finished: {names}; the command that began one goes on with it")
    return runs, [f"not finished and left out: {named(unfinished)}"] if unfinished else []


def _free(name: str, taken: Iterable[str]) -> str:
    """The name as files and anchors take it, with a number if another has it."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".-") or "run"
    used = {one.lower() for one in taken}  # file systems may not tell large letters from small ones
    names = (name, *(f"{name}-{number}" for number in range(2, len(used) + 3)))
    return next(one for one in names if one.lower() not in used)


def _make_films(
    folder: GalleryFolder,
    before: dict[str, Film],
    runs: dict[str, Run],
    progress: Progress,
    seconds: float,
    seed: int,
    trust: bool,
) -> tuple[dict[str, Film], dict[str, str], list[str]]:
    """The films of all agents, why some have none, and whose were made now."""
    from catzoo.zoo.watch.small_film import LOOK, small_film

    films: dict[str, Film] = {}
    without, filmed = {}, []
    for number, (name, run) in enumerate(runs.items()):
        if progress is not None:
            progress(number, len(runs), name)
        key, old = key_of(run, LOOK, seconds, seed), before.get(name)
        if old and old.key == key and folder.film(name).is_file() and folder.poster(name).is_file():
            films[name] = old
            continue
        try:
            made = small_film(
                run.folder, folder.film(name), folder.poster(name), seconds=seconds, seed=seed, trust=trust
            )
        except NoRoomError:
            raise
        except (
            RecipeError,
            FloatingPointError,
        ) as error:  # wants an extra or trust, or gives NaN
            without[name] = str(error)
            continue
        films[name] = Film(key, made["steps"], made["return"], made["shown"])
        filmed.append(name)
        folder.write(before | films, folder.names())  # who is interrupted goes on from here
    if progress is not None:
        progress(len(runs), len(runs), "")
    return films, without, filmed


def _draw_curve(folder: GalleryFolder, name: str, run: Run) -> bool:
    """Draws the learning curve, if the run still has its metrics."""
    there = run.metrics.is_file() or run.episodes.is_file()
    if there:
        learning_curve(run, out=folder.curve(name))
    return there


def page(
    cards: Sequence[Card],
    films: dict[str, Film],
    without: dict[str, str],
    curves: Iterable[str],
    *,
    seed: int,
    command: str,
) -> str:
    """The page.

    Args:
        cards: of the agents.
        films: by name.
        without: why others have none, by name.
        curves: names of those with a learning curve.
        seed: of the films' episodes.
        command: what makes the gallery again.
    """
    filled = template("gallery.html.j2", Path(__file__).parent)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return filled.render(
        cards=cards,
        films=films,
        scores={name: _told(film.score) for name, film in films.items()},
        without=without,
        curves=set(curves),
        seed=seed,
        command=command,
        version=__version__,
        date=today,
    )


def _told(score: float) -> str:
    return typeset(score, 0 if score.is_integer() else digits_of([score]))
