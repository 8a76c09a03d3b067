"""Which of its family's actions a game alone has: Breakout the numbers 0, 1 and 3 of MinAtar's six."""

from __future__ import annotations

import gymnasium as gym

from catzoo.zoo.environments.registry import find_spec


def minimal_actions(env: str) -> list[int]:
    """The number that each action of a game has in the full set of MinAtar's, or of Atari's."""
    spec = find_spec(env)
    if env.startswith("ALE/"):
        from catzoo.zoo.environments.atari_console import boot

        return [action.value for action in boot(spec.kwargs["game"]).getMinimalActionSet()]
    made = gym.make(spec)
    try:
        return list(map(int, made.unwrapped.action_set))
    finally:
        made.close()
