"""`play`: a game between you and a trained agent, in the terminal."""

from __future__ import annotations

import os
from importlib import import_module

from catzoo.hparams import RecipeError
from catzoo.zoo.environments.names import canonical
from catzoo.zoo.system.console import say
from catzoo.zoo.training.torch_state import own_torch
from catzoo.zoo.training.weights import open_agent

WORLDS = {"chess/": "catzoo.zoo.watch.play_chess", "wordle/": "catzoo.zoo.watch.play_wordle"}
"""What the names of a world's environments begin with, and the module whose `play` plays there."""


@own_torch()
def play(
    run: str | os.PathLike[str],
    *,
    yours: bool = False,
    seed: int | None = None,
    best: bool = False,
    trust: bool = False,
) -> None:
    """Plays against the agent of a finished run, or beside it.

    Args:
        run: the run's folder, or the name of one of the zoo's own trained agents.
        yours: Wordle: the agent guesses a word that you think of.
        seed: of the game.
        best, trust: see `load_agent`.

    Raises:
        RecipeError: not a finished run, or one of an environment that nobody plays against.
    """
    recipe, agent = open_agent(run, best=best, trust=trust)
    env = canonical(recipe.env)
    module = next((name for prefix, name in WORLDS.items() if env.startswith(prefix)), None)
    if module is None:
        raise RecipeError(
            f"{run}: {env} is no game to play with: {' and '.join(WORLDS)} are; catzoo watch films it"
        )
    if yours and not env.startswith("wordle/"):
        raise RecipeError(f"{run}: --yours is for Wordle, where the agent guesses a word of yours")
    agent.eval()
    import_module(module).play(agent, recipe, yours=yours, seed=seed, ask=input, say=say)
