"""The libraries that a benchmark of loops runs beside ours, and what they cannot do."""

from __future__ import annotations

from importlib import util

NEEDED = {
    "sb3": ("stable_baselines3", "stable-baselines3 is not installed: pip install 'catzoo[bench]'"),
    "sbx": ("sbx", "sbx is not installed: pip install sbx-rl"),
}
"""The module behind a peer, and what to say where it is missing."""
PEERS = ("sb3", "sb3-vec", "torchrl", "sbx", "sbx-vec")


def problem_of_peer(peer: str, agent: str, env: str) -> str | None:
    """Why a peer is left out: it is not installed, or cannot train the agent on the environment.

    Raises:
        RecipeError: an unknown environment.
    """
    from catzoo.zoo.environments.making import make_env

    library, _, vectorised = peer.partition("-")
    module, missing = NEEDED.get(library, ("torchrl", ""))
    if util.find_spec(module) is None:
        return missing
    if vectorised and agent == "ppo":
        return f"with ppo {library} has as many environments as ours"
    if env.startswith("ALE/"):
        if library == "torchrl":
            return "its Atari transforms need torchvision"
        return None if (library, agent) == ("sb3", "dqn") else f"it has no network like ours for {env}"
    made = make_env(env, 1)
    made.close()
    if len(made.single_observation_space.shape) != 1:
        return f"it has no network like ours for {env}"
    return None
