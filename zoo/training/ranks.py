"""The learners of a run: their processes, and how they find each other.

catzoo starts those of one machine itself: this process is the first of them, and the others get its recipe.
Under torchrun and Slurm each is the same command. Lightning's launcher would start the command line's script
again, which a run from Python or a worker does not have, and its strategy would wrap the agent in a module
that waits for `backward()`, where the learner takes gradients by `autograd.grad`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import IO, Any, NamedTuple

import torch
import torch.distributed as dist

from catzoo.agents.learning.data_parallel import ALONE, NO_ANSWER, Ranks, Together
from catzoo.hparams import LostLearnerError, Recipe, RecipeError, share_of
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.folders.run_recipe import flat
from catzoo.zoo.system.console import console
from catzoo.zoo.system.exit_status import last_words
from catzoo.zoo.system.machine import WORKERS, cores, usable_cores, workers

SILENCE = timedelta(days=7)
"""How long learners wait for one that is alive: rank 0 evaluates meanwhile."""
COMING = 300.0
"""Seconds in which all learners have to come."""
ENDING = 20.0
"""Seconds that one has to end after another."""
HERE = "127.0.0.1"


class Place(NamedTuple):
    """Of a learner among the others."""

    rank: int
    count: int
    address: str
    port: int
    """Where they find each other; 0: a free one, which rank 0 takes."""
    is_host: bool
    """Whether it opens that port."""


@contextlib.contextmanager
def learners(recipe: Recipe, run: Run, place: Place | None = None) -> Iterator[Ranks]:
    """This process among the learners of a run, all of whom end when one does.

    Args:
        recipe: says how many, and who starts them.
        run: where they train.
        place: of a process that rank 0 has started.

    Raises:
        RecipeError: they cannot be, or do not agree on what to do.
        LostLearnerError: one has ended.
    """
    share_of(recipe)
    if recipe.compute.devices == 1:
        yield ALONE
        return
    check_devices(recipe)
    if dist.is_initialized():
        raise RecipeError("compute.devices: this program uses torch.distributed for something else")
    others: list[Other] = []
    place = place or _given_place(recipe)
    with contextlib.ExitStack() as stack:
        store = dist.TCPStore(place.address, place.port, is_master=place.is_host, wait_for_workers=False)
        if recipe.compute.launcher == "own" and not place.rank:
            stack.callback(_end, others)
            others += [Other(recipe, run, rank, store.port) for rank in range(1, place.count)]
        if place.rank:
            console.quiet = True
        try:
            # torchrun's store outlives its restarts.
            name = f"catzoo {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"
            ranks = _meet(dist.PrefixStore(name, store), place, _said(recipe, run), others)
            stack.callback(dist.destroy_process_group)
            stack.enter_context(_sharing(ranks))
            yield ranks
            for other in others:
                other.wait(ENDING)
        except LostLearnerError as error:
            raise LostLearnerError(_who(others, error)) from None


def check_devices(recipe: Recipe) -> None:
    """Refuses more learners than devices of this machine, where all are here.

    Raises:
        RecipeError: says how many there are, or that they cannot all have one.
    """
    asked, own = recipe.compute, recipe.compute.launcher == "own"
    if asked.device not in ("auto", "cpu", "cuda"):
        raise RecipeError(
            f"compute.device={asked.device} is one device: with compute.devices={asked.devices} say "
            "cpu, cuda or auto"
        )
    there, what = (torch.cuda.device_count(), "GPUs") if on_gpus(recipe) else (cores(), "cores")
    if own and asked.devices > there:
        raise RecipeError(f"compute.devices={asked.devices}: this machine has {there} {what}")


def on_gpus(recipe: Recipe) -> bool:
    """Whether learners compute on GPUs."""
    return recipe.compute.device == "cuda" or (recipe.compute.device == "auto" and torch.cuda.is_available())


def _given_place(recipe: Recipe) -> Place:
    """What a launcher's variables say; of our own, the first place."""
    name, devices = recipe.compute.launcher, recipe.compute.devices
    if name == "own":
        return Place(0, devices, HERE, 0, True)
    from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

    kind = {"torchrun": TorchElasticEnvironment, "slurm": SLURMEnvironment}[name]
    try:
        if not kind.detect():
            raise RecipeError(f"compute.launcher={name}: this process was not started by it")
        found = kind()
        rank, count, address, port = (
            found.global_rank(), found.world_size(), found.main_address, found.main_port
        )  # fmt: skip
    except (RuntimeError, KeyError, ValueError) as error:
        raise RecipeError(f"compute.launcher={name}: {' '.join(str(error).split())[:200]}") from None
    if count != devices:
        raise RecipeError(f"compute.devices={devices}, and {name} has started {count}")
    theirs = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return Place(rank, count, address, port, rank == 0 and not theirs)


def _said(recipe: Recipe, run: Run) -> dict[str, Any]:
    """What all learners must have been asked for alike."""
    return json.loads(json.dumps({"run_dir": str(run.folder), **flat(recipe.to_dict())}))  # type: ignore[no-any-return]


def _meet(store: dist.Store, place: Place, said: dict[str, Any], others: list[Other]) -> Ranks:
    """Waits until all are there and agree, and connects them."""
    names = [f"learner {rank}" for rank in range(place.count)]
    store.set(names[place.rank], json.dumps(said))
    until = time.monotonic() + COMING
    while not store.check(names):
        missing = [name for name in names if not store.check([name])]
        if any(other.process.poll() is not None for other in others):
            raise LostLearnerError(NO_ANSWER)
        if time.monotonic() > until:
            raise LostLearnerError(f"{', '.join(missing)} has not come within {COMING:.0f} s")
        time.sleep(0.02)
    for name in names:
        theirs = json.loads(store.get(name))
        first = json.loads(store.get(names[0]))
        if wrong := [key for key in {**first, **theirs} if first.get(key) != theirs.get(key)]:
            key = wrong[0]
            raise RecipeError(
                f"{name} was asked for something else than {names[0]}: "
                f"{key} is {theirs.get(key)}, there {first.get(key)}"
            )
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.count, timeout=SILENCE)
    return Together()


@contextlib.contextmanager
def _sharing(ranks: Ranks) -> Iterator[None]:
    """Counts this machine's learners among those that share its memory."""
    before = os.environ.get(WORKERS)
    os.environ[WORKERS] = str(workers() * ranks.neighbours)
    try:
        yield
    finally:
        if before is None:
            del os.environ[WORKERS]
        else:
            os.environ[WORKERS] = before


class Other:
    """The process of another learner.

    Args:
        recipe, run, rank: what it is to do, and as which.
        port: where rank 0 is found.
    """

    def __init__(self, recipe: Recipe, run: Run, rank: int, port: int) -> None:
        self.rank = rank
        self.output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        threads = recipe.compute.threads or max(usable_cores() // recipe.compute.devices, 1)
        limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "catzoo.zoo.training.rank_worker"],  # see `launch.jobs.PYTHON`
            stdin=subprocess.PIPE,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **limits},
            process_group=0,  # Ctrl-C on the terminal is for rank 0, which tells the others
        )
        place = Place(rank, recipe.compute.devices, HERE, port, False)
        job = {"recipe": recipe.to_dict(), "run_dir": str(run.path), "place": place, "path": sys.path}
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died at once, and its exit status says so
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()  # and left open: its end is this process's

    def wait(self, seconds: float) -> None:
        """Waits until it has ended, or so long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def kill(self) -> None:
        """Ends it, and what it has started."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.output.close()

    def last_words(self) -> str | None:
        """Why it ended; None while it is at work, and if it only heard of another's end."""
        status = self.process.poll()
        if not status:
            return None
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        self.output.seek(0)
        said = last_words(self.output.read().decode(errors="replace"))
        return None if NO_ANSWER in said else said or f"exit status {status}"


def _end(others: list[Other]) -> None:
    for other in others:
        other.kill()


def _who(others: list[Other], error: LostLearnerError) -> str:
    """Which learner has ended, and why, as soon as that can be told."""
    until = time.monotonic() + ENDING
    while others and time.monotonic() < until:
        for other in others:
            if words := other.last_words():
                return f"learner {other.rank} of {len(others) + 1} has ended: {words}"
        if all(other.process.poll() is not None for other in others):
            break
        time.sleep(0.05)
    return str(error)
