"""The backend of a Ray cluster: a job has an actor on some node, which holds the same worker as here.

Ray finds the node, keeps cores, GPUs and memory for the job, and says when the node is gone; the process, its
log, its restarts and its last words are those of `processes`. Ray never restarts an actor: the loop does,
so that it is counted and told.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import shutil
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catzoo.hparams import RecipeError
from catzoo.zoo.launch import processes
from catzoo.zoo.launch.carried_folders import merge, pack, parts, put_back, read_part, unpack, write_part
from catzoo.zoo.launch.jobs import Ending, Needs, Work
from catzoo.zoo.launch.ray_cluster import GB, alive, check_nodes, joined, places_on, settled
from catzoo.zoo.system.disk_space import FULL
from catzoo.zoo.system.file_locks import held_path

POLL = 0.1
"""Seconds between an actor's looks at its worker."""
LOOK = 5.0
"""Seconds between looks at what nodes there are."""
DYING = 90.0
"""Seconds that a job waits for the folder that a lost one had, whose node may work on unseen so long."""
ENDS = 5.0
"""Seconds that a node has to end a process before its actor is ended."""
SLOW = 15.0
"""Seconds after which it is told that a job waits for room."""


@contextmanager
def on_ray(
    address: str,
    workers: int | None,
    jobs: Sequence[Work],
    *,
    bring_back: bool,
    tell: Callable[[str], None] | None,
) -> Iterator[RayJobs]:
    """A backend on a cluster whose nodes were asked whether they can do these jobs; see `backends.opened`."""
    with joined(address):
        nodes = alive()
        needs = list(dict.fromkeys(settled(job.needs, nodes) for job in jobs))
        able = [node for node in nodes if any(places_on(node, one) for one in needs)]
        check_nodes(able, None if bring_back else jobs[0].root)
        auto = settled(Needs(0, None), nodes).gpus or 0.0
        yield RayJobs(needs, auto, workers or math.inf, bring_back, tell or (lambda line: None))


@dataclass
class RayJobs:
    """See `Backend`.

    Args:
        needs: what the jobs ask for, as far as it is known.
        auto: GPUs for a job that takes one if there is any.
        limit: how many of them at a time at most.
        bring_back: whether they work in folders of their nodes.
        tell: prints a line.
    """

    needs: Sequence[Needs]
    auto: float
    limit: float
    bring_back: bool
    tell: Callable[[str], None]
    lost: set[Path] = field(default_factory=set)
    """Logs of the jobs whose node or actor died."""
    seen: tuple[float, int] = (-math.inf, 1)
    """When the nodes were last looked at, and how many places they had."""

    def places(self) -> int:
        """See `Backend`: nodes may come and go."""
        now = time.monotonic()
        if now - self.seen[0] > LOOK:
            nodes = alive()
            room = max(sum(places_on(node, needs) for node in nodes) for needs in self.needs)
            self.seen = (now, room)
        return int(max(min(self.seen[1], self.limit), 1))  # one may wait for a node

    def limited(self, jobs: int) -> RayJobs:
        """See `Backend`."""
        return dataclasses.replace(self, limit=min(self.limit, jobs))

    def settled(self, needs: Needs) -> Needs:
        """What a job asks Ray for."""
        return dataclasses.replace(needs, gpus=self.auto * needs.devices) if needs.gpus is None else needs

    def start(self, job: Any) -> RayWorker:
        """See `Backend`."""
        return RayWorker(job, self)

    def check(self, words: Sequence[Mapping[str, Any]], needs: Needs) -> str | None:
        """See `Backend`."""
        import ray

        needs = self.settled(needs)
        task = ray.remote(max_retries=0)(_check).options(**_asked(needs))
        try:
            problem: str | None = ray.get(task.remote(list(words), needs, os.getcwd()))
        except ray.exceptions.RayError as error:
            return f"the check on the cluster failed: {_line(error)}"
        return problem


def _asked(needs: Needs) -> dict[str, Any]:
    """What a job needs, as Ray is asked for it."""
    memory = {"memory": int(needs.memory * GB)} if needs.memory else {}
    return {"num_cpus": needs.cpus, "num_gpus": needs.gpus or 0, **memory}


def _line(error: BaseException) -> str:
    cause = getattr(error, "cause", None) or error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]


class RayWorker:
    """A job on the cluster, or on its way there; see `AtWork`. Nothing but `wait` waits for a node."""

    def __init__(self, job: Any, backend: RayJobs) -> None:
        import ray

        self.job, self.backend = job, backend
        self.here = job.moved(job.root)
        """The same job, with paths that do not depend on the working directory."""
        self.stopped = self.begun = self.told = False
        self.ended: Ending | None = None
        self.merged: Ending | None = None  # what it made is here: its node is no matter then
        self.since, self.killed = time.monotonic(), math.inf
        needs = backend.settled(job.needs)
        actor = ray.remote(max_restarts=0, max_task_retries=0, max_concurrency=16)(Post)
        self.post = actor.options(**_asked(needs)).remote(os.getcwd(), needs)
        self.closing = contextlib.ExitStack()
        self.steps = self._carried() if backend.bring_back else self._shared()
        self.call: tuple[Any, ...] = ()
        self.answer: Any = None
        self.ending()  # asks for the first step

    def ending(self) -> Ending | None:
        """See `AtWork`."""
        if self.ended is None:
            self._tell_of_waiting()
            self.ended = self._look()
            if self.ended is not None:
                self.closing.close()
                self.post.clear.remote()
                self.post = None  # Ray ends an actor that nobody knows, once it has done what it was asked
        return self.ended

    def look_for_life(self, now: float) -> None:
        """See `AtWork`: its node does that."""

    def interrupt(self) -> None:
        """See `AtWork`."""
        if self.begun and self.post:
            self.post.tell.remote("interrupt")
        else:  # there is nothing to save yet, or all is saved
            self._leave()

    def wait(self, seconds: float | None = None) -> None:
        """See `AtWork`: no longer than its node has to end it, if it is to be ended."""
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        while self.ending() is None and (now := time.monotonic()) < deadline:
            if now > self.killed + ENDS:
                self._leave()
                return
            time.sleep(POLL)

    def stop(self) -> None:
        """See `AtWork`."""
        self.stopped = True
        if self.begun and self.post:
            self.post.tell.remote("stop")
        else:
            self._leave()

    def kill(self) -> None:
        """See `AtWork`."""
        self.killed = time.monotonic()
        if self.begun and self.post:
            self.post.tell.remote("kill")
        else:
            self._leave()

    def _look(self) -> Ending | None:
        """Takes what has arrived, and asks for what comes next."""
        import ray
        from ray import exceptions

        if self.answer is not None and not ray.wait([self.answer], timeout=0)[0]:
            return None
        try:
            said = None if self.answer is None else ray.get(self.answer)
            self.call = self.steps.send(said)
        except StopIteration as done:
            ending: Ending = done.value
            return ending
        except exceptions.ActorUnavailableError:
            pass  # the way to it is cut, or slow: whether it lives Ray finds out; every call may come twice
        except exceptions.RayTaskError as error:
            return self.merged or Ending(
                f"cannot be started: {_line(error)}" if not self.begun else _line(error)
            )
        except exceptions.RayError as error:  # its actor died, or what it had to say
            return self._lost(error)
        except RecipeError as error:
            return Ending(str(error))
        except (OSError, tarfile.TarError) as error:
            full = getattr(error, "errno", None) in FULL
            return Ending(f"cannot be brought back: {error}", no_room=full)
        name, *arguments = self.call
        self.answer = getattr(self.post, name).remote(*arguments)
        return None

    def _lost(self, error: Exception) -> Ending:
        if self.stopped or self.merged:
            return self.merged or Ending(None)
        self.backend.lost.add(self.job.log)
        what = "its node died" if "node has died" in str(error) else f"its Ray actor died: {_line(error)}"
        return Ending(what, crashed=True)

    def _leave(self) -> None:
        """Ends the actor; its process, if it has one, ends with it."""
        import ray

        if self.post:
            ray.kill(self.post)
        self.closing.close()

    def _tell_of_waiting(self) -> None:
        if not (self.begun or self.told) and time.monotonic() - self.since > SLOW:
            self.told = True
            self.backend.tell(f"{self.here.makes.name}: waits for room on the cluster")

    def _shared(self) -> Generator[tuple[Any, ...], Any, Ending]:
        """What is asked of the node, answer by answer, where it sees the same folders."""
        yield ("begin", self.here, self.job.log in self.backend.lost)
        self.begun = True
        return (yield ("end",))

    def _carried(self) -> Generator[tuple[Any, ...], Any, Ending]:
        """The same, where what it goes on from is sent there, and what it made is brought here."""
        here, root = self.here, self.here.root
        root.mkdir(parents=True, exist_ok=True)
        put_back(here.makes)
        here.makes.mkdir(parents=True, exist_ok=True)
        self.closing.enter_context(held_path(here.makes, "training in this folder, on a cluster"))
        desk = Path(
            self.closing.enter_context(
                tempfile.TemporaryDirectory(prefix=".catzoo-", suffix=".tmp", dir=root)
            )
        )
        box = desk / "box"
        for start in parts(pack(box, root, here.reads)):
            yield ("take", start, read_part(box, start))
        yield ("begin_apart", here)
        self.begun = True
        ending = yield ("end",)
        box.unlink()
        for start in parts((yield ("pack",))):
            write_part(box, start, (yield ("give", start)))
        unpack(box, desk)
        merge(desk, root, here.makes, here.log)
        self.merged = ending
        yield ("clear",)  # asked for and not waited for, it is lost where this was the last job
        return ending


class Post:
    """The actor of a job on its node: starts its worker, and looks after it. Several calls at a time.

    Every call may come a second time, where the answer was lost.

    Args:
        directory: to work in, where the node has it, as relative paths in a recipe mean that.
        needs: what the node keeps for the job.
    """

    def __init__(self, directory: str, needs: Needs) -> None:
        self.raylet = os.getppid()
        self.needs = needs
        self.worker: processes.Worker[Any] | None = None
        self.beginning = threading.RLock()
        self.job: Any = None
        self.desk: Path | None = None
        _settle(directory, needs)

    def begin(self, job: Any, again: bool) -> None:
        """Starts a job in the folders that it names.

        Args:
            job: with absolute paths.
            again: whether the node of an earlier attempt was lost, and may work on it still.
        """
        with self.beginning:
            if self.worker is not None:
                return
            if again:
                wait_for_the_lost(job.holds)
            self.job = job
            self.worker = processes.start(job, self.needs.cpus, places_here(self.needs))

    def begin_apart(self, job: Any) -> None:
        """Starts a job in a folder of this node, with what was taken."""
        with self.beginning:
            if self.worker is not None:
                return
            root = self._own() / "root"
            root.mkdir(exist_ok=True)
            if (self._own() / "box").exists():
                unpack(self._own() / "box", root)
            moved = job.moved(root)
            moved.log.parent.mkdir(parents=True, exist_ok=True)
            self.begin(moved, False)

    def end(self) -> Ending:
        """Waits until the worker has ended; ends it if its node is dead, or it has hung."""
        assert self.worker is not None
        while (ending := self.worker.ending()) is None:
            time.sleep(POLL)
            self.worker.look_for_life(time.monotonic())
            if os.getppid() != self.raylet:  # Ray itself does not see that where nobody buries the dead
                self.worker.kill()
                os._exit(1)
        return ending

    def tell(self, word: str) -> None:
        """Has the worker `interrupt`, `stop` or `kill` its process, see `AtWork`."""
        assert self.worker is not None
        getattr(self.worker, word)()

    def take(self, start: int, content: bytes) -> None:
        """Takes a part of what the job goes on from."""
        write_part(self._own() / "box", start, content)

    def pack(self) -> int:
        """Packs what the job made; returns its size in bytes."""
        return pack(self._own() / "box", self.job.root, [self.job.makes, self.job.log])

    def give(self, start: int) -> bytes:
        """A part of that."""
        return read_part(self._own() / "box", start)

    def clear(self) -> None:
        """Removes it from here."""
        if self.desk is not None:
            shutil.rmtree(self.desk, ignore_errors=True)

    def _own(self) -> Path:
        with self.beginning:  # two calls at once would have a folder each
            self.desk = self.desk or Path(tempfile.mkdtemp(prefix="catzoo-"))
            return self.desk


def _settle(directory: str, needs: Needs) -> None:
    """Makes a process of Ray's one that jobs' processes can be started from as here."""
    with contextlib.suppress(OSError):
        os.chdir(directory)
    if not needs.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # or it would take what others asked for


def _check(words: Sequence[Mapping[str, Any]], needs: Needs, directory: str) -> str | None:
    _settle(directory, needs)
    return processes.check(words, needs.cpus, places_here(needs))


def places_here(needs: Needs) -> int:
    """How many jobs may share this node."""
    import ray

    own = ray.get_runtime_context().get_node_id()
    return max((places_on(node, needs) for node in alive() if node["NodeID"] == own), default=1)


def wait_for_the_lost(folder: Path, seconds: float = DYING) -> None:
    """Waits for the process of a node that was given up, which may write to a folder still, to end."""
    deadline = time.monotonic() + seconds
    while folder.is_dir() and time.monotonic() < deadline:
        with contextlib.suppress(RecipeError), held_path(folder, "training in this folder"):
            return
        time.sleep(POLL)
