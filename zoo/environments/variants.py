"""Variants of Atari's games: `ALE/Asteroids-v5?mode=5&difficulty=3`.

An Atari 2600 has a switch for the game's mode and two for its difficulty; one cartridge holds dozens of
games so (Machado et al. 2018, section 5). A key that is left out is as the console comes up.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from catzoo.hparams import RecipeError, nearest
from catzoo.hparams.schema import brief

QUERY = re.compile(r"\?(?=\w*=)|(?<=-v\d)\?(?=\w)")
"""Where a variant's switches begin; any other `?` stands for one letter of a pattern."""
SWITCHES = ("mode", "difficulty")


def split(env: str) -> tuple[str, str]:
    """An id and its switches as text: `ALE/Asteroids-v5` and `mode=5&difficulty=3`."""
    game, *query = QUERY.split(env, maxsplit=1)
    return game, "".join(query)


def game_of(env: str) -> str:
    """The id without switches."""
    return split(env)[0]


def is_variant(env: str) -> bool:
    """Whether an id has switches."""
    return QUERY.search(env) is not None


def in_order(env: str) -> str:
    """The id with its mode before its difficulty, however it was written."""
    game, query = split(env)
    return f"{game}?{'&'.join(sorted(query.split('&'), reverse=True))}" if query else env


def switches_of(env: str) -> dict[str, int]:
    """What an id switches: `{"mode": 5, "difficulty": 3}`, either may be missing; nothing for a plain game.

    Raises:
        RecipeError: a game that is not Atari's, another switch, one named twice, or no whole number.
    """
    game, query = split(env)
    found: dict[str, int] = {}
    if query and not game.startswith("ALE/"):
        raise RecipeError(f"{brief(env)}: only Atari's games, ALE/…, have {_listed(SWITCHES)} switches")
    for part in query.split("&") if query else ():
        name, _, text = part.partition("=")
        if name not in SWITCHES:
            hint = nearest(name, SWITCHES) or f": there are {_listed(SWITCHES)}"
            raise RecipeError(f"{brief(env)}: unknown switch {brief(name) or 'without a name'}{hint}")
        if name in found:
            raise RecipeError(f"{brief(env)}: {name} is said twice")
        if not re.fullmatch(r"0|[1-9]\d{0,5}", text, re.ASCII):
            raise RecipeError(f"{brief(env)}: {name}={brief(text)}: must be a whole number, such as {name}=0")
        found[name] = int(text)
    return found


def check_switches(env: str, switches: Mapping[str, int], allowed: Mapping[str, Collection[int]]) -> None:
    """Refuses a mode or a difficulty that the game has not.

    Raises:
        RecipeError: names those that it has.
    """
    for name, value in switches.items():
        if value not in allowed[name]:
            raise RecipeError(f"{brief(env)}: there is no {name} {value}; the game has {in_words(allowed)}")


def in_words(allowed: Mapping[str, Collection[int]]) -> str:
    """`mode 0 to 31 and 128, difficulty 0 and 3`."""
    return ", ".join(f"{name} {_ranges(numbers)}" for name, numbers in allowed.items())


def variants(game: str, modes: Iterable[int], difficulties: Collection[int]) -> tuple[str, ...]:
    """The ids of a game in every one of some modes and difficulties."""
    return tuple(
        f"ALE/{game}-v5?mode={mode}&difficulty={difficulty}" for mode in modes for difficulty in difficulties
    )


def _listed(words: Iterable[object]) -> str:
    *most, last = map(str, words)
    return f"{', '.join(most)} and {last}" if most else last


def _ranges(numbers: Iterable[int]) -> str:
    """`0 to 31 and 128` for 33 numbers."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    pieces = [part for run in runs for part in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else run)]
    return _listed(pieces)
