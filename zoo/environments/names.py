"""Lists of games: from the words after `--env` to the environments that they stand for.

A list is separated by commas; each word is an environment's id, the name of a set below, or a pattern such
as `ALE/*`. The sets:

* `atari-5`, `atari-10`: the few games that predict the median score over all 57 best (Aitchison, Sweetser &
  Hutter 2023, "Atari-5").
* `atari-26`: the games of Atari-100k (Kaiser et al. 2020).
* `atari-57`: all the games that scores are usually reported for (Wang et al. 2016).
* `minatar-5`: the five games of MinAtar (Young & Tian 2019).
* `mujoco-5`: the five locomotion tasks of MuJoCo that most papers report, in Gymnasium's version 5.
"""

from __future__ import annotations

import re

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
_MUJOCO_5 = "HalfCheetah Hopper Walker2d Ant Humanoid"


def _atari(games: str) -> tuple[str, ...]:
    return tuple(f"ALE/{game}-v5" for game in games.split())


SETS: dict[str, tuple[str, ...]] = {
    "atari-5": _atari(_ATARI_5),
    "atari-10": _atari(_ATARI_10),
    "atari-26": _atari(_ATARI_26),
    "atari-57": _atari(_ATARI_57),
    "minatar-5": tuple(f"MinAtar/{game}" for game in _MINATAR_5.split()),
    "mujoco-5": tuple(f"{task}-v5" for task in _MUJOCO_5.split()),
}
"""Names that stand for several environments."""


def is_list(env: str) -> bool:
    """Whether the words after `--env` are anything but one plain id: `atari-7` is a mistaken set."""
    like_a_set = re.fullmatch(r"((min)?atari?|mujoco)[-_]?\d+k?", env.lower())
    return "," in env or bool(like_a_set) or is_pattern(env)


def canonical(env: str) -> str:
    """The registered id behind a name: `MinAtar/Breakout` is `MinAtar/Breakout-v1`."""
    return f"{env}-v1" if env.startswith("MinAtar/") and "-v" not in env else env


def is_pattern(word: str) -> bool:
    return any(letter in word for letter in "*?[")
