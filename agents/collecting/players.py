"""Collectors in processes of their own: each plays a share of the environments with a copy of the policy.

A player is asked for one thing after another, and answers in turn. What it plays with is handed to it between
two rollouts, so that nothing depends on timing.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from catzoo.agents.collecting.collector import VectorCollector
from catzoo.agents.networks import set_noise_generator
from catzoo.agents.replay import flat_tensors

if TYPE_CHECKING:
    from catzoo.agents.agent import Agent

POLL = 1.0
"""Seconds between looks at whether a player that is waited for is alive."""
FURTHER = 1_000_003
"""Between the seeds of a player and of one that takes its place."""


Played = tuple[dict[str, Tensor], list[Any], int]
"""The steps [N, T] of a rollout, flat; the episodes that ended in it; the player's frames by then."""


class LostPlayerError(RuntimeError):
    """A player has died."""


@dataclass(frozen=True)
class Share:
    """What one player plays."""

    agent: Agent
    """On the CPU; the player gets a copy."""
    make_env: Callable[[int], VectorEnv]
    """Makes so many environments; it can be pickled."""
    num_envs: int
    first: int
    """The number of its first environment in the whole."""
    rollout_length: int
    seed: int
    """Of the whole: environment i of all is seeded with `seed + i`."""
    attempt: int = 0
    """Times that such a player was lost before."""

    def again(self) -> Share:
        """For one that takes a lost player's place, with seeds not used before."""
        return replace(self, attempt=self.attempt + 1)


class Asked(Protocol):
    """A player, wherever it runs."""

    def ask(self, what: str, *arguments: Any) -> None:
        """Has `Player.what(*arguments)` called."""

    def answer(self) -> Any:
        """What that returned, waited for; raises what it raised, or `LostPlayerError`."""

    def close(self) -> None:
        """Ends it."""


class Player:
    """What a process of its own does: a `VectorCollector` with a policy on the CPU.

    Args:
        share: what it plays.
    """

    def __init__(self, share: Share) -> None:
        torch.set_num_threads(1)
        recipe, seed = share.agent.recipe, share.seed + share.first + FURTHER * share.attempt
        env = share.make_env(share.num_envs)
        self.network = share.agent.network
        self.weights: Sequence[Tensor] = ()
        # One stream of exploration for each player: the first environment's number tells them apart.
        policy = share.agent.policy(env.single_action_space, seed=seed, network=self.network)
        policy.noise = torch.Generator().manual_seed(seed)
        set_noise_generator(self.network, policy.noise)
        self.collector = VectorCollector(
            env, policy, frames_per_batch=share.rollout_length * share.num_envs, seed=seed,
            gamma=recipe.gamma, reward_clip=recipe.reward_clip,
        )  # fmt: skip

    @torch.no_grad()
    def rollout(self, weights: Sequence[Tensor] | None, epsilon: float) -> Played:
        """Plays one with a network's state; None: that in the memory that was handed over before."""
        self.weights = self.weights if weights is None else weights
        torch._foreach_copy_(list(self.network.state_dict().values()), list(self.weights))
        self.collector.policy.epsilon = epsilon
        steps = self.collector.rollout()
        return flat_tensors(steps), self.collector.take_finished(), self.collector.frames

    def state(self) -> dict[str, Any]:
        """See `VectorCollector.state_dict`."""
        return dict(self.collector.state_dict())

    def load(self, state: dict[str, Any]) -> bool:
        """Restores it; whether the open episodes are those of then."""
        self.collector.load_state_dict(state)  # type: ignore[arg-type]
        return self.collector.resumed

    def close(self) -> None:
        """Closes the environments."""
        self.collector.shutdown()


class ProcessPlayer:
    """A player in a process on this machine; arguments as `Player`.

    Raises:
        Exception: what making the environments raised.
    """

    def __init__(self, share: Share) -> None:
        context = torch.multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, share), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, what: str, *arguments: Any) -> None:
        """See `Asked`."""
        with contextlib.suppress(OSError):  # it is dead: `answer` says so
            self.pipe.send((what, arguments))

    def answer(self) -> Any:
        """See `Asked`."""
        try:
            while not self.pipe.poll(POLL):
                if not self.process.is_alive() and not self.pipe.poll(0):
                    raise EOFError
            error, value = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(POLL)
            raise LostPlayerError(f"a collector has ended: exit status {self.process.exitcode}") from None
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        """See `Asked`."""
        self.pipe.close()  # the end of what it is asked, after which it closes its environments
        self.process.join(10 * POLL)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


def _serve(pipe: Any, share: Share) -> None:
    """Answers until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the learner, which ends its players
    player: Player | None = None
    failed: Exception | None = None
    try:
        player = Player(share)
    except Exception as error:
        failed = error
    with contextlib.suppress(EOFError, OSError):
        while True:
            what, arguments = pipe.recv()
            try:
                if failed is not None:
                    raise failed
                pipe.send((None, getattr(player, what)(*arguments)))
            except OSError:
                raise
            except Exception as error:
                pipe.send((_sendable(error), None))
    if player is not None:
        player.close()


def _sendable(error: Exception) -> Exception:
    """An error as it is, where it survives the way; else its words."""
    import pickle

    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
