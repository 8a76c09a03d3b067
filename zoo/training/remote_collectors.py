"""Environments of a run that are played outside of its process: by processes of this machine, or on Ray."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor

from catzoo.agents.collecting.collector_pool import PlayedElsewhere
from catzoo.agents.collecting.players import LostPlayerError, Player, ProcessPlayer, Share
from catzoo.hparams import RecipeError
from catzoo.zoo.environments.making import make_under
from catzoo.zoo.environments.protocols import Protocol


def played_elsewhere(recipe: Any, protocol: Protocol) -> PlayedElsewhere:
    """The recipe's environments, shared out to its collectors.

    Args:
        recipe: of an agent that plays.
        protocol: the environment's, as it is trained on.

    Raises:
        RecipeError: environments that cannot be shared evenly, or no Ray.
    """
    workers, games = recipe.collect.number, len(recipe.games)
    if recipe.num_envs % (workers * games):
        each = f", each with all {games} games" if games > 1 else ""
        raise RecipeError(f"num_envs={recipe.num_envs} cannot be shared evenly by {workers} collectors{each}")
    sample = make_under(protocol, games)  # before Ray is joined, which is left with the environments
    where = {"start": ProcessPlayer} if isinstance(recipe.collect.workers, int) else on_ray(workers)
    return PlayedElsewhere(sample, recipe.num_envs, workers, partial(make_under, protocol), **where)


def on_ray(workers: int) -> dict[str, Any]:
    """How so many players are started on Ray, and weights taken to them.

    On the Ray that this process has joined, else on that of `RAY_ADDRESS`, else on one that starts here; the
    last two are left when the run closes.

    Raises:
        RecipeError: Ray is not installed, does not answer, or has too few cores.
    """
    try:
        import ray
    except ImportError:
        raise RecipeError("collect.workers=ray:N: Ray is not installed: pip install 'catzoo[ray]'") from None
    leave = (lambda: None) if ray.is_initialized() else ray.shutdown
    if not ray.is_initialized():
        _join(ray, os.environ.get("RAY_ADDRESS") or "local")
    cores = int(ray.cluster_resources().get("CPU", 0))
    if cores < workers:
        leave()
        raise RecipeError(f"collect.workers=ray:{workers}: this Ray has {cores} cores, and each takes one")

    def put(weights: Sequence[Tensor]) -> Any:
        return ray.put([tensor.clone() for tensor in weights])

    return {"start": RayPlayer, "put": put, "leave": leave}


def _join(ray: Any, address: str) -> None:
    own = {"include_dashboard": False} if address == "local" else {}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody asked for reports to Ray's makers
    try:
        ray.init(address, log_to_driver=False, logging_level="error", **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        ray.shutdown()  # of what was begun
        reason = " ".join(str(error).split())[:200]
        raise RecipeError(f"collect.workers: no Ray at {address}: {reason}") from None


class RayPlayer:
    """A player as an actor on Ray; arguments as `Player`. See `agents.collecting.players.Asked`."""

    def __init__(self, share: Share) -> None:
        import ray

        self.ray = ray
        self.actor = ray.remote(num_cpus=1, max_restarts=0)(Player).remote(share)
        self.reference: Any = None

    def ask(self, what: str, *arguments: Any) -> None:
        """Has something done."""
        self.reference = getattr(self.actor, what).remote(*arguments)

    def answer(self) -> Any:
        """What came of it."""
        try:
            return self.ray.get(self.reference)
        except self.ray.exceptions.RayActorError as error:
            raise LostPlayerError(f"a collector has ended: {str(error).splitlines()[0]}") from None
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from None

    def dismiss(self) -> None:
        """Nothing: it closes its environments when it ends."""

    def close(self, deadline: float) -> None:
        """Ends it."""
        self.ray.kill(self.actor)
