"""Named protocols: what a score was measured under."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from catzoo.zoo.environments.chess_games import chess_settings
from catzoo.zoo.environments.meta_world import META_WORLD, STEPS
from catzoo.zoo.environments.names import TOGETHER, canonical, distinct_games
from catzoo.zoo.environments.registry import find_spec
from catzoo.zoo.environments.variants import game_of

EPISODE_CAP = 27_000
"""Agent steps after which Atari and MinAtar episodes are truncated."""


@dataclass(frozen=True)
class Protocol:
    """What a score was measured under."""

    name: str
    env: str
    settings: dict[str, Any] = field(default_factory=dict)
    frames_per_step: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for a result file."""
        return asdict(self)


ATARI = {
    "repeat_action_probability": 0.25,
    "frameskip": 4,
    "maxpool": True,
    "grayscale": True,
    "img_height": 84,
    "img_width": 84,
    "stack_num": 4,
    "episodic_life": False,
    "noop_max": 0,
    "use_fire_reset": False,
    "full_action_space": False,
    "max_num_frames_per_episode": 4 * EPISODE_CAP,
    "reward_clipping": False,  # scores are unclipped; the agent clips for learning
}
CLASSIC_CONTROL = ("CartPole", "Acrobot", "MountainCar-", "MountainCarContinuous-", "Pendulum-")
MUJOCO = re.compile(
    r"(Ant|HalfCheetah|Hopper|Humanoid|HumanoidStandup|InvertedDoublePendulum|InvertedPendulum|Pusher|Reacher|"
    r"Swimmer|Walker2d)-(?P<version>v[45])"
)
"""Gymnasium's tasks; what its versions 4 and 5 reward differs, so that their scores do not compare."""
FETCH = re.compile(r"Fetch(Reach|Push|PickAndPlace|Slide)-v4")
"""Gymnasium-Robotics' arm with rewards of 0 and 1; episodes end where the goal is reached."""
DMC = {"action_repeat": 2}
MANY = "many-games"
"""Several games, each under a protocol of its own."""
MINATAR = {"sticky_action_prob": 0.1, "difficulty_ramping": True}


def protocol_of(env: str, options: dict[str, Any] | None = None) -> Protocol:
    """The protocol of an environment, with the recipe's options over its defaults."""
    env, options = canonical(env), options or {}
    if TOGETHER in env:
        games = distinct_games(env)
        each = [protocol_of(game, {**_same_actions(games, game), **options}) for game in games]
        frames = {one.frames_per_step for one in each}
        settings = {"games": [one.to_dict() for one in each]}
        return Protocol(MANY, env, settings, frames_per_step=frames.pop() if len(frames) == 1 else 1)
    if env.startswith("ALE/"):
        settings = {**ATARI, **options}
        sticky = settings["repeat_action_probability"] != 0
        name = "atari-sticky" if sticky else "atari-deterministic"
        return Protocol(name, env, settings, frames_per_step=settings["frameskip"])
    if env.startswith("MinAtar/"):
        return Protocol("minatar-sticky", env, {**MINATAR, "max_episode_steps": EPISODE_CAP, **options})
    if env.startswith("chess/"):
        return Protocol("chess", env, {**chess_settings(env), **options})
    if env.startswith("dmc/"):
        settings = {**DMC, **options}
        return Protocol("dmc", env, settings, frames_per_step=settings["action_repeat"])
    if FETCH.fullmatch(env):
        return Protocol("fetch-50", env, options)
    if env.startswith(META_WORLD):
        return Protocol(f"metaworld-{STEPS}", env, options)
    if env.startswith("wordle/"):
        return Protocol("wordle", env, options)
    mujoco = MUJOCO.fullmatch(env)
    if mujoco:
        return Protocol(f"mujoco-{mujoco['version']}", env, options)
    return Protocol("classic-control" if env.startswith(CLASSIC_CONTROL) else "gymnasium", env, options)


def _same_actions(games: list[str], game: str) -> dict[str, Any]:
    """Options by which an action means the same in all games of a family; variants of one share theirs."""
    if len({game_of(one) for one in games}) == 1:
        return {}
    if game.startswith("ALE/"):
        return {"full_action_space": True}
    return {"use_minimal_action_set": False} if game.startswith("MinAtar/") else {}


def protocols_of_games(protocol: Protocol) -> list[Protocol]:
    """Of several games each one's, of one its own."""
    if protocol.name != MANY:
        return [protocol]
    return [Protocol(**one) for one in protocol.settings["games"]]


def with_limit(protocol: Protocol, most: int) -> Protocol:
    """The same with episodes of at most `most` agent steps, where they may be longer."""
    if protocol.name == MANY:
        each = [with_limit(one, most).to_dict() for one in protocols_of_games(protocol)]
        return replace(protocol, settings={"games": each})
    if protocol.name.startswith("atari"):
        key, most = "max_num_frames_per_episode", most * protocol.frames_per_step
        own = protocol.settings[key]
    else:
        key = "max_episode_steps"
        own = protocol.settings.get(key) or find_spec(protocol.env).max_episode_steps
    longer = own is None or own > most
    return replace(protocol, settings={**protocol.settings, key: most}) if longer else protocol
