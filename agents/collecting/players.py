"""Collectors in processes of their own: each plays a share of the environments with a copy of the policy.

A player is asked for one thing after another, and answers in turn. What it plays with is handed to it between
two rollouts, so that nothing depends on timing.
"""

from __future__ import annotations

import contextlib
import multiprocessing.resource_tracker
import multiprocessing.spawn
import signal
import time
from collections.abc import Callable, Iterator, Sequence
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
HUNG = 600.0
"""Seconds without processor time after which a player hangs: on a lock, or an environment that waits."""
PATIENCE = 10.0
"""Seconds that players have to close their environments."""
STOPS = tuple(
    getattr(signal, f"SIG{name}")
    for name in ("INT", "TERM", "HUP", "USR1", "USR2", "XCPU")
    if hasattr(signal, f"SIG{name}")
)
"""Signals that ask a run to stop, often all its processes: the learner hears them, and ends its players."""
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
    """On the CPU; players of one machine share its memory."""
    make_env: Callable[[int], VectorEnv]
    """Makes so many environments; it can be pickled."""
    num_envs: int
    first: int
    """The number of its first environment in the whole."""
    rollout_length: int
    seed: int
    """Of the whole: environment i of all is seeded with `seed + i`."""
    total: int
    """Environments of the whole."""
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

    def dismiss(self) -> None:
        """Tells it that nothing more is asked."""

    def close(self, deadline: float) -> None:
        """Ends it, by a time of `time.monotonic` at the latest."""


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
        policy.place = (share.first, share.total)
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


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """Processes that are started here hear no signal yet, and do not run the script that started this one."""
    described = multiprocessing.spawn.get_preparation_data

    def without_script(name: str) -> dict[str, Any]:
        data = described(name)
        return {key: value for key, value in data.items() if not key.startswith("init_main")}

    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    # The tracker unblocks SIGINT and SIGTERM when it starts, which it would do with the first player.
    multiprocessing.resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    multiprocessing.spawn.get_preparation_data = without_script
    try:
        yield
    finally:
        multiprocessing.spawn.get_preparation_data = described
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class ProcessPlayer:
    """A player in a process on this machine; arguments as `Player`.

    The process does not run the script that started this one, so that a loss or an environment that exists
    only there is unknown to it.
    """

    def __init__(self, share: Share) -> None:
        context = torch.multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, share), daemon=True)
        with _apart():
            self.process.start()
        theirs.close()

    def ask(self, what: str, *arguments: Any) -> None:
        """See `Asked`."""
        with contextlib.suppress(OSError):  # it is dead: `answer` says so
            self.pipe.send((what, arguments))

    def answer(self) -> Any:
        """See `Asked`."""
        worked, used = time.monotonic(), -1.0
        try:
            while not self.pipe.poll(POLL):
                if not self.process.is_alive() and not self.pipe.poll(0):
                    raise EOFError
                if (now := self._processor_seconds()) > used:
                    worked, used = time.monotonic(), now
                elif time.monotonic() - worked > HUNG:
                    self.process.kill()
            error, value = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(POLL)
            raise LostPlayerError(f"a collector has ended: exit status {self.process.exitcode}") from None
        if error is not None:
            raise error
        return value

    def _processor_seconds(self) -> float:
        import psutil

        try:
            times = psutil.Process(self.process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    def dismiss(self) -> None:
        """See `Asked`: the end of what it is asked, after which it closes its environments."""
        self.pipe.close()

    def close(self, deadline: float) -> None:
        """See `Asked`."""
        self.dismiss()
        self.process.join(max(deadline - time.monotonic(), 0))
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


def _serve(pipe: Any, share: Share) -> None:
    """Answers until nobody asks any more."""
    for stop in STOPS:
        signal.signal(stop, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
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
