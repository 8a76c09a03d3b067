"""Lists of games: from the words after `--env` to the environments that they stand for.

A list is separated by commas; each word is an environment's id, the name of a set below, or a pattern such
as `ALE/*`. The sets:

* `atari-5`, `atari-10`: the few games that predict the median score over all 57 best (Aitchison, Sweetser &
  Hutter 2023, "Atari-5").
* `atari-26`: the games of Atari-100k (Kaiser et al. 2020).
* `atari-57`: all the games that scores are usually reported for (Wang et al. 2016).
* `minatar-5`: the five games of MinAtar (Young & Tian 2019).
"""

from __future__ import annotations

import fnmatch
import re

from catzoo.hparams import RecipeError, nearest

_ATARI_5 = "BattleZone DoubleDunk NameThisGame Phoenix Qbert"
_ATARI_10 = "Amidar BattleZone Bowling DoubleDunk Frostbite KungFuMaster NameThisGame Phoenix Qbert Riverraid"
_ATARI_26 = """
    Alien Amidar Assault Asterix BankHeist BattleZone Boxing Breakout ChopperCommand CrazyClimber DemonAttack
    Freeway Frostbite Gopher Hero Jamesbond Kangaroo Krull KungFuMaster MsPacman Pong PrivateEye Qbert
    RoadRunner Seaquest UpNDown
"""
_ATARI_57 = """
    Alien Amidar Assault Asterix Asteroids Atlantis BankHeist BattleZone BeamRider Berzerk Bowling Boxing
    Breakout Centipede ChopperCommand CrazyClimber Defender DemonAttack DoubleDunk Enduro FishingDerby Freeway
    Frostbite Gopher Gravitar Hero IceHockey Jamesbond Kangaroo Krull KungFuMaster MontezumaRevenge MsPacman
    NameThisGame Phoenix Pitfall Pong PrivateEye Qbert Riverraid RoadRunner Robotank Seaquest Skiing Solaris
    SpaceInvaders StarGunner Surround Tennis TimePilot Tutankham UpNDown Venture VideoPinball WizardOfWor
    YarsRevenge Zaxxon
"""
_MINATAR_5 = "Asterix Breakout Freeway Seaquest SpaceInvaders"


def _atari(games: str) -> tuple[str, ...]:
    return tuple(f"ALE/{game}-v5" for game in games.split())


SETS: dict[str, tuple[str, ...]] = {
    "atari-5": _atari(_ATARI_5),
    "atari-10": _atari(_ATARI_10),
    "atari-26": _atari(_ATARI_26),
    "atari-57": _atari(_ATARI_57),
    "minatar-5": tuple(f"MinAtar/{game}" for game in _MINATAR_5.split()),
}
"""Names that stand for several games."""


def is_list(env: str) -> bool:
    """Whether the words after `--env` are anything but one plain id: `atari-7` is a mistaken set."""
    like_a_set = re.fullmatch(r"(min)?atari?[-_]?\d+k?", env.lower())
    return "," in env or bool(like_a_set) or _is_pattern(env)


def canonical(env: str) -> str:
    """The registered id behind a name: `MinAtar/Breakout` is `MinAtar/Breakout-v1`."""
    return f"{env}-v1" if env.startswith("MinAtar/") and "-v" not in env else env


def expand(env: str) -> list[str]:
    """The environments that a comma-separated list of ids, sets and patterns stands for.

    The order is the list's, a pattern's matches alphabetical; what is there already is not repeated. Makes
    no environment, but looks every one up.

    Raises:
        RecipeError: a name that nobody registered, with the nearest one, or a pattern without a match.
    """
    from catzoo.zoo.environments import find_spec

    found: dict[str, str] = {}
    for word in (part.strip() for part in env.split(",")):
        if not word:
            raise RecipeError(f"--env {env!r}: an empty name in the list")
        if _is_pattern(word):
            names = _matches(word)
        else:
            names = SETS.get(word.lower()) or (word,)
            _offer_sets(word)
            for name in names:
                find_spec(name)
        for name in names:
            found.setdefault(canonical(name), name)  # MinAtar/Breakout and MinAtar/Breakout-v1 are one game
    return list(found.values())


def _is_pattern(word: str) -> bool:
    return any(letter in word for letter in "*?[")


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


def _known(pattern: str) -> list[str]:
    """What a pattern can match: v5 of Atari, the short names of MinAtar, and whatever else is registered."""
    import gymnasium as gym

    from catzoo.zoo.environments import find_spec

    find_spec("ALE/Pong-v5")  # looking one up registers all
    minatar: tuple[str, ...] = ()
    try:
        find_spec("MinAtar/Breakout")
        minatar = SETS["minatar-5"]
    except RecipeError:  # not installed, which is an error only for those who want it
        if pattern.startswith("MinAtar/"):
            raise
    atari = [name for name in gym.registry if name.startswith("ALE/") and name.endswith("-v5")]
    others = [name for name in gym.registry if not name.startswith(("ALE/", "MinAtar/"))]
    return [*sorted(atari), *minatar, *sorted(others)]
