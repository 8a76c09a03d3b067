"""From the words after `--env` to environments: ids, sets and patterns, each looked up."""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Sequence

from catzoo.hparams import RecipeError, nearest
from catzoo.zoo.environments.names import (
    SETS,
    TOGETHER,
    canonical,
    distinct_games,
    in_one_run,
    is_pattern,
    listed,
)
from catzoo.zoo.environments.variants import in_words, is_variant, split, switches_of

ON_DEMAND = {
    "dmc/": "dmc/cheetah-run",
    "chess/": "chess/random",
    "wordle/": "wordle/200",
    "metaworld/": "metaworld/reach-v3",
}
"""Families that are registered when one of them is looked up, and one of each."""


def expand(env: str | Sequence[str]) -> list[str]:
    """The environments that a comma-separated list of ids, sets and patterns stands for.

    The order is the list's, a pattern's matches alphabetical; what is there already is not repeated. Makes
    no environment, but looks every one up.

    Raises:
        RecipeError: a name that nobody registered, with the nearest one, or a pattern without a match.
    """
    from catzoo.zoo.environments.registry import find_spec

    found: dict[str, str] = {}
    words = listed(env)
    for word in (part.strip() for part in words.split(",")):
        if not word:
            raise RecipeError(f"--env {words!r}: an empty name in the list")
        if TOGETHER in word:
            names = (_together(in_one_run(word)),)
        elif is_pattern(word):
            names = _variants(word) if is_variant(word) else _matches(word)
        else:
            names = SETS.get(word.lower()) or (word,)
            _offer_sets(word)
            for name in names:
                find_spec(name)
        for name in names:
            found.setdefault(canonical(name), name)  # MinAtar/Breakout and MinAtar/Breakout-v1 are one game
    return list(found.values())


def _together(word: str) -> str:
    """Games that one network plays, each looked up."""
    from catzoo.zoo.environments.registry import find_spec

    for game in distinct_games(word):
        _offer_sets(game)
        find_spec(game)
    return word


def _offer_sets(word: str) -> None:
    """Refuses a name that is nobody's and nearest to a set's."""
    import gymnasium as gym

    if word.lower() in SETS or word in gym.registry or "/" in word or ":" in word:
        return
    if word.lower().startswith("atari-100k"):
        raise RecipeError(f"{word} is no set of games but a preset: --env atari-26 --preset {word.lower()}")
    hint = nearest(word, [*SETS, *gym.registry])
    if any(hint.endswith(f"{name}?") for name in SETS):
        raise RecipeError(f"unknown environment {word}{hint}; sets are {', '.join(SETS)}")


def _matches(pattern: str) -> tuple[str, ...]:
    known = _known(pattern)
    names = tuple(name for name in known if fnmatch.fnmatchcase(name, pattern))
    if not names:
        hint = nearest("".join(letter for letter in pattern if letter not in "*?[]"), known)
        raise RecipeError(f"{pattern}: matches no environment{hint}")
    return names


def _variants(pattern: str) -> tuple[str, ...]:
    """The variants that are like a pattern, `ALE/Breakout-v5?mode=*&difficulty=1`; not all games have one."""
    from catzoo.zoo.environments.atari_console import allowed_switches
    from catzoo.zoo.environments.registry import find_spec

    switches_of(re.sub("=[^&]+", "=0", pattern))  # refuses what is wrong beside the numbers
    game, query = split(pattern)
    wanted = {switch: text for switch, _, text in (part.partition("=") for part in query.split("&"))}
    found: list[str] = []
    for name in _matches(game) if is_pattern(game) else (game,):
        allowed = allowed_switches(find_spec(name).kwargs["game"])
        numbers = [fnmatch.filter(map(str, allowed[switch]), text) for switch, text in wanted.items()]
        found += [
            f"{name}?" + "&".join(f"{switch}={number}" for switch, number in zip(wanted, chosen, strict=True))
            for chosen in itertools.product(*numbers)
        ]
    if not found:
        raise RecipeError(f"{pattern}: matches no variant; {name} has {in_words(allowed)}")
    return tuple(found)


def _known(pattern: str) -> list[str]:
    """What a pattern can match: v5 of Atari, the short names of MinAtar, and whatever else is registered.

    What is registered when it is looked up is so for those who ask for it: that takes a second, or an extra.
    """
    import gymnasium as gym

    from catzoo.zoo.environments.registry import find_spec

    for family, one in ON_DEMAND.items():
        if pattern.startswith(family):
            find_spec(one)
            return sorted(name for name in gym.registry if name.startswith(family))
    if pattern.startswith("Fetch"):
        find_spec("FetchReach-v4")
    find_spec("ALE/Pong-v5")  # looking one up registers all
    minatar: tuple[str, ...] = ()
    try:
        find_spec("MinAtar/Breakout")
        minatar = SETS["minatar-5"]
    except RecipeError:  # not installed, which is an error only for those who want it
        if pattern.startswith("MinAtar/"):
            raise
    atari = [name for name in gym.registry if name.startswith("ALE/") and name.endswith("-v5")]
    others = [name for name in gym.registry if not name.startswith(("ALE/", "MinAtar/", *ON_DEMAND))]
    return [*sorted(atari), *minatar, *sorted(others)]
