"""Lists of games: from the words after `--env` to the environments that they stand for.

A list is separated by commas; each word is an environment's id, the name of a set below, or a pattern such
as `ALE/*`. The sets:

* `atari-5`, `atari-10`: the few games that predict the median score over all 57 best (Aitchison, Sweetser &
  Hutter 2023, "Atari-5").
* `atari-26`: the games of Atari-100k (Kaiser et al. 2020).
* `atari-57`: all the games that scores are usually reported for (Wang et al. 2016).
* `minatar-5`: the five games of MinAtar (Young & Tian 2019).
* `asteroids-66`, `space-invaders-32`: every variant of the two games that ALE has, mode by difficulty (33 by
  2 and 16 by 2), the game as it comes up among them. "Stop Regressing" (Farebrother et al. 2024) trains on 63
  and on 29 variants; which those are is not known here, so that no set is called so.
* `fetch-4`: the four tasks of the Fetch arm (Plappert et al. 2018).
* `metaworld-10`: the ten tasks of Meta-World's MT10 (Yu et al. 2019).
* `mujoco-5`: the five locomotion tasks of MuJoCo that most papers report, in Gymnasium's version 5.
* `dmc-28`: the tasks of the DeepMind Control Suite that SimbaV2 (Lee et al. 2025) and XQC report.

Games with a `+` between them are one environment, which one network plays:
`MinAtar/Breakout+MinAtar/Freeway`, or a whole set, `+minatar-5`.
"""

from __future__ import annotations

import re
import zlib

from catzoo.hparams import RecipeError
from catzoo.hparams.recipe import TOGETHER
from catzoo.hparams.schema import brief, check_name
from catzoo.zoo.environments.variants import in_order, split, variants

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
_METAWORLD_10 = """
    reach push pick-place door-open drawer-open drawer-close button-press-topdown peg-insert-side window-open
    window-close
"""
_DMC_28 = """
    acrobot-swingup ball_in_cup-catch cartpole-balance cartpole-balance_sparse cartpole-swingup
    cartpole-swingup_sparse cheetah-run dog-run dog-stand dog-trot dog-walk finger-spin finger-turn_easy
    finger-turn_hard fish-swim hopper-hop hopper-stand humanoid-run humanoid-stand humanoid-walk
    pendulum-swingup quadruped-run quadruped-walk reacher-easy reacher-hard walker-run walker-stand
    walker-walk
"""
_MUJOCO_5 = "HalfCheetah Hopper Walker2d Ant Humanoid"


def _atari(games: str) -> tuple[str, ...]:
    return tuple(f"ALE/{game}-v5" for game in games.split())


SETS: dict[str, tuple[str, ...]] = {
    "atari-5": _atari(_ATARI_5),
    "atari-10": _atari(_ATARI_10),
    "atari-26": _atari(_ATARI_26),
    "atari-57": _atari(_ATARI_57),
    "minatar-5": tuple(f"MinAtar/{game}" for game in _MINATAR_5.split()),
    "asteroids-66": variants("Asteroids", (*range(32), 128), (0, 3)),
    "space-invaders-32": variants("SpaceInvaders", range(16), (0, 1)),
    "fetch-4": tuple(f"Fetch{task}-v4" for task in ("Reach", "Push", "PickAndPlace", "Slide")),
    "metaworld-10": tuple(f"metaworld/{task}-v3" for task in _METAWORLD_10.split()),
    "dmc-28": tuple(f"dmc/{task}" for task in _DMC_28.split()),
    "mujoco-5": tuple(f"{task}-v5" for task in _MUJOCO_5.split()),
}
"""Names that stand for several environments."""


LONGEST = 120
"""Letters of an environment in the name of a file."""


def is_list(env: str) -> bool:
    """Whether the words after `--env` are anything but one plain id: `atari-7` is a mistaken set."""
    families = r"(min)?atari?|mujoco|dmc|fetch|metaworld|asteroids|space[-_]?invaders"
    like_a_set = re.fullmatch(rf"({families})[-_]?\d+k?", env.lower())
    return "," in env or bool(like_a_set) or is_pattern(env)


def games_of(env: str) -> list[str]:
    """The games behind a name, of which most have one: `MinAtar/Breakout+MinAtar/Freeway` has two."""
    return env.split(TOGETHER)


def distinct_games(env: str) -> list[str]:
    """The games behind a name; of several each is checked to be one.

    Raises:
        RecipeError: one is missing, named twice, or a set or a pattern itself; or there is no such set.
    """
    games = games_of(env)
    if len(games) == 1:
        return games
    if not games[0] and len(games) == 2 and games[1]:
        check_name("set of games", games[1], SETS)
    for game in games:
        if game.lower() in SETS:
            raise RecipeError(
                f"{brief(env)}: {game} is a set, which goes alone, as {TOGETHER}{game.lower()}; for more, "
                f"name every game, with {TOGETHER} between two"
            )
    plain = all(game and not is_pattern(game) for game in games)
    if not plain or len(set(map(canonical, games))) < len(games):
        raise RecipeError(
            f"{brief(env)}: name every game once, with {TOGETHER} between two, or one whole set, such as "
            f"{TOGETHER}minatar-5"
        )
    return games


def as_name(env: object) -> str:
    """A name, checked to be one: other libraries take the environment itself.

    Raises:
        RecipeError: it is none.
    """
    if isinstance(env, str):
        return env
    if isinstance(env, list | tuple):
        raise RecipeError(f"env is to be one name, not {brief(str(env))}: catzoo.train_many takes several")
    kind = env.__name__ if isinstance(env, type) else type(env).__name__
    raise RecipeError(
        f"env is to be a name, such as CartPole-v1 or my_package:MyEnv-v0, not {kind}: register yours with "
        "gymnasium.register (docs/start/environments.md)"
    )


def listed(env: object) -> str:
    """Names as one comma-separated list, of which each may be one already; see `as_name`."""
    return ",".join(map(as_name, env)) if isinstance(env, list | tuple) else as_name(env)


def in_one_run(env: str) -> str:
    """A set's games as one environment, `+minatar-5`; any other name as it is."""
    env = as_name(env)
    games = SETS.get(env[1:].lower()) if env.startswith(TOGETHER) else None
    return env if games is None else TOGETHER.join(games)


def canonical(env: str) -> str:
    """The registered id behind a name: `MinAtar/Breakout` is `MinAtar/Breakout-v1`."""
    games = games_of(env)
    if len(games) > 1:
        return TOGETHER.join(map(canonical, games))
    return f"{env}-v1" if env.startswith("MinAtar/") and "-v" not in env else in_order(env)


def is_pattern(word: str) -> bool:
    """Whether a word stands for all that is like it; the `?` before a variant's switches is none of that."""
    parts = [part for game in games_of(word) for part in split(game)]
    return any(letter in part for part in parts for letter in "*?[")


def in_file_names(env: str) -> str:
    """What an environment is called in the names of files: `ALE-Asteroids-v5-mode5-difficulty3`.

    Games that would make a name too long are counted, and told from others by a sum over their names.
    """
    name = re.sub("[/:?&]", "-", env).replace("=", "").replace(TOGETHER, "-and-")
    if len(name) > LONGEST and TOGETHER in env:
        return f"{len(games_of(env))}-games-{zlib.crc32(env.encode()):08x}"
    return name
