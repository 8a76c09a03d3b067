"""What a full replay takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from catzoo.agents.replay.frames import ring_size


def transition_bytes(observation_shape: Sequence[int], itemsize: int, action_bytes: int = 8) -> int:
    """Bytes of a transition in a dataset: two observations, two actions, reward and end."""
    return 2 * math.prod(observation_shape) * itemsize + 2 * action_bytes + 4 + 1


def replay_bytes(
    capacity: int,
    observation_shape: Sequence[int],
    itemsize: int,
    *,
    store: str = "whole",
    stack: int | None = None,
    prioritized: bool = False,
    action_bytes: int = 8,
) -> int:
    """Bytes of a full replay, within 1 %.

    Args:
        capacity: transitions.
        observation_shape, itemsize: of one observation; of a stack, [stack, height, width].
        store: `whole` or `frames`.
        stack: frames of a stack; by default `observation_shape[0]`.
        prioritized: whether priorities are kept.
        action_bytes: of an action.
    """
    scalars = action_bytes + 4 + 4  # reward, discount
    total = capacity * 8 * 16 // 15 if prioritized else 0  # a leaf, and the sums above it
    if store == "whole":
        return total + capacity * (scalars + 2 * math.prod(observation_shape) * itemsize)
    stack = observation_shape[0] if stack is None else stack
    places = ring_size(capacity)
    frame = math.prod(observation_shape) * itemsize // observation_shape[0]
    # A place's frame, its stack's places and its oldest frame; a record's two numbers and what it needs.
    return total + places * (frame + 4 * stack + 8) + capacity * (scalars + 2 * 8 + 8)
