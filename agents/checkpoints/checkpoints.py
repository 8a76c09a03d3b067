"""Checkpoints: everything that decides a run's future, in folders that are complete or absent.

| component | what | as |
|---|---|---|
| agent | network, target network, scale of returns, ends of an adaptive support | state |
| learner | Adam's moments and step counts | state |
| progress | counters, recent scores, the losses that the next row of metrics will average | state |
| collector | counts, exploration, and the simulators where `collecting/simulators.py` knows them | state |
| rollouts | what was collected ahead | state |
| replay | priorities, steps that wait for their n-step return, write positions; the rows | state, segments |
| mover | the targets that an adaptive support goes by | state |
| recorder | of a dataset: counts and random stream; its rows lie in the run's folder | state |
| random | Python's, NumPy's and torch's streams, CUDA's too | state |

State is two files (`state_files.py`), segments are what `journal.py` writes; TorchRL's `Checkpoint` puts them
together, a seal (`seal.py`) goes over all, and a rename publishes. A checkpoint that is not whole is passed
over for the one before it.

Of many learners rank 0 saves what all have alike, and each its own part, the others' in `ranks/RANK`. Rank 0
seals and publishes when all have written.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torchrl.checkpoint import Checkpoint, CheckpointError, GlobalRNGState

from catzoo.agents.at_work import SHARED, AtWork
from catzoo.agents.checkpoints.journal import Journal
from catzoo.agents.checkpoints.parts_of_ranks import RANKS, Dealt, is_of_rank, of_rank, place_of
from catzoo.agents.checkpoints.seal import BrokenSealError, read_seal, seal, verify
from catzoo.agents.checkpoints.state_files import StateFiles, read_state, write_state
from catzoo.agents.collecting.simulators import check_mersenne_twister
from catzoo.agents.replay import Replay
from catzoo.hparams import RecipeError
from catzoo.hparams.published_files import IN_USE, replace, sync

FORMAT = 3
"""Of what a checkpoint holds."""
NAME = re.compile(r"step-(\d{12})", re.ASCII)
LEFTOVER = re.compile(r"\.saving.*|\.step-\d{12}", re.ASCII)
"""What an interrupted save leaves."""
PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES)
"""What a system says that is no fault of the checkpoint's."""


class Checkpoints:
    """The checkpoints of one run; the newest `keep` stay.

    Args:
        folder: where they lie, one folder each, named by step.
        work: the agent at work.
        keep: how many.
        run: what tells this run from others; another's checkpoints are not loaded.
        also: more components by name, with `state_dict` and `load_state_dict`.
    """

    def __init__(
        self,
        folder: Path,
        work: AtWork,
        keep: int = 2,
        *,
        run: str = "",
        also: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.work, self.keep, self.run = folder, work, keep, run
        self.passed_over: list[str] = []
        """Why newer checkpoints were not the one restored."""
        self._unreadable: list[int] = []
        self._stands_for: tuple[int, int] | None = None
        self.ranks = work.ranks
        self.dealt_from = 0
        """Of how many learners the checkpoint restored is, where that is another number."""
        self.checkpoint = Checkpoint()
        self.own = Checkpoint() if self.ranks.rank else self.checkpoint
        self.journal: Journal | None = None
        alike = {"agent": work.agent, **(also or {})}
        components = {**alike, "progress": _Progress(work), **work.components()}
        self.own_parts = [name for name in components if name not in (*alike, *SHARED)]
        self.shared_parts = [name for name in components if name not in self.own_parts]
        self.parts = components
        for name, part in components.items():
            into, adapter = self.own if name in self.own_parts else self.checkpoint, StateFiles()
            if isinstance(part, Replay):
                self.journal = Journal(folder / of_rank("journal", self.ranks.rank), part.rings())
                adapter = ReplayFiles(self.journal)
            into.register(name, part, adapter=adapter)
        self.own.register("random", _Streams(), adapter=StateFiles())

    def spill(self) -> None:
        """Writes what the next checkpoint will need and is worth writing now."""
        if self.journal is not None:
            self.journal.spill()

    def save(self, *, anew: bool = False) -> Path | None:
        """Publishes a checkpoint of now; None before the first step.

        Args:
            anew: also where there is one of this very step already, which may be of other open episodes.

        Raises:
            NotFiniteError: a loss is not a number, so that there is nothing to keep.
            OSError: it cannot be written; the ones before are as they were.
        """
        work = self.work
        if not work.steps:
            return None
        target = self.folder / f"step-{work.steps:012d}"
        if self._stands_for == (work.steps, work.updates) and not anew:
            return target
        work.check_losses()
        work.rest()
        stage = self.folder / of_rank(".saving", self.ranks.rank)
        try:
            self._write(stage)
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)
            raise
        self._stands_for = (work.steps, work.updates)
        if not self.ranks.rank:
            _replace(stage, target)
            sync(self.folder)
            self._prune()
        return target

    def _write(self, stage: Path) -> None:
        digests = {}
        if self.journal is not None:
            self.journal.spill(everything=True)
            digests = {segment.name: segment.digest for segment in self.journal.all()}
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.ranks.rank:
            self.clear_leftovers()
        self.ranks.gathered("cleared")
        self.own.save(stage)
        place, files = place_of(self.ranks.rank), (path for path in stage.rglob("*") if path.name in digests)
        known_R = self.ranks.gathered(
            {(place / path.relative_to(stage)).as_posix(): digests[path.name] for path in files}
        )  # and all have written
        if self.ranks.rank:
            return
        for rank in range(1, self.ranks.count):
            (stage / RANKS).mkdir(exist_ok=True)
            replace(self.folder / of_rank(".saving", rank), stage / place_of(rank))
        about = {"format": FORMAT, "step": self.work.steps, "run": self.run}
        about |= {"ranks": self.ranks.count} if self.ranks.count > 1 else {}
        seal(stage, about, {name: found for known in known_R for name, found in known.items()})

    def _prune(self) -> None:
        """Removes old checkpoints, and those that could not be read."""
        torn = [step for step in self._unreadable if step != self.work.steps]  # that one is new
        self._unreadable = []
        steps = [step for step in self.steps() if step <= self.work.steps and step not in torn]
        for step in set(self.steps()) - set(steps[-self.keep :]):
            _remove(self.folder / f"step-{step:012d}")

    def clear_leftovers(self) -> None:
        """Removes what an interrupted save has left."""
        for path in self.folder.glob(".*"):
            if LEFTOVER.fullmatch(path.name) and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)

    def steps(self) -> list[int]:
        """Steps of which there are checkpoints, whole or not, oldest first."""
        names = [NAME.fullmatch(path.name) for path in self.folder.glob("step-*")]
        return sorted(int(name[1]) for name in names if name)

    def restore(self) -> int | None:
        """Loads the newest checkpoint that is whole; returns its step, or None if there is none at all.

        Raises:
            CheckpointError: checkpoints are there, and none can be read.
            OSError, MemoryError: the system's trouble, and not the checkpoint's.
        """
        self.passed_over, self._unreadable = [], []
        for step in reversed(self.ranks.gathered(self.steps())[0]):
            path, problem = self.folder / f"step-{step:012d}", None
            try:
                self._load(path, step)
            except RecipeError:  # nothing is wrong with it
                raise
            except Exception as error:  # whatever is wrong with it, an older one may be right
                _raise_if_passing(error)
                problem = _on_one_line(error)
            problems = [found for found in self.ranks.gathered(problem) if found is not None]
            if problems:
                self.passed_over.append(problems[0])
                self._unreadable.append(step)
                continue
            self._stands_for = (self.work.steps, self.work.updates)
            return self.work.steps
        if self.passed_over:
            raise CheckpointError(f"{self.folder}: no readable checkpoint: {self.passed_over[0]}")
        return None

    def _load(self, path: Path, step: int) -> None:
        sealed = read_seal(path) if self.ranks.rank else verify(path)
        if sealed.get("format") != FORMAT:
            raise BrokenSealError(
                f"{path.name}: of format {sealed.get('format')}, this version reads {FORMAT}"
            )
        if sealed.get("run") != self.run or sealed.get("step") != step:
            raise BrokenSealError(f"{path.name}: is another run's, or of another step")
        self.checkpoint.load(path, components=self.shared_parts)
        saved_by = sealed.get("ranks", 1)
        self.dealt_from = saved_by if saved_by != self.ranks.count else 0
        if self.dealt_from:
            self._deal_out(Dealt(path, saved_by, self.ranks))
            return
        own = path / place_of(self.ranks.rank)
        if self.journal is not None:
            self.journal.digests = {
                Path(name).name: found
                for name, found in sealed["files"].items()
                if is_of_rank(name, self.ranks.rank)
            }
        self.own.load(own, components=self.own_parts)
        if self.work.steps != step:
            raise BrokenSealError(f"{path.name}: is another run's, or of another step")
        if not self.work.resumed:
            self.work.cut()
        self.own.load(own, components=["random"])  # last: nothing draws from it after that

    def _deal_out(self, dealt: Dealt) -> None:
        """Loads this learner's part of a checkpoint of another number of learners."""
        if self.journal is not None:
            self.journal.clear()
        if not self.ranks.rank:
            for rank in range(self.ranks.count, dealt.before):
                shutil.rmtree(self.folder / of_rank("journal", rank), ignore_errors=True)
        dealt.load("progress", self.parts["progress"], 0)
        for name in self.own_parts:
            dealt.load(name, self.parts[name], self.work.steps)
        self.work.cut()
        dealt.load("random", _Streams(), self.work.steps)


class _Progress:
    """The progress, as a component."""

    def __init__(self, work: AtWork) -> None:
        self.state_dict, self.load_state_dict = work.progress, work.load_progress


class _Streams(GlobalRNGState):
    """Random streams: those of the devices that are here, where a run goes on on another machine."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores them; ValueError for what cannot be a stream."""
        _, key, position, *_ = state_dict["numpy"]
        check_mersenne_twister(key, position)
        state = {name: stream for name, stream in state_dict.items() if name in _streams_here()}
        if "torch_cuda" in state:
            state["torch_cuda"] = list(state["torch_cuda"])[: torch.cuda.device_count()]
        super().load_state_dict(state)


def _streams_here() -> set[str]:
    here = {"python", "numpy", "torch_cpu"}
    found = (("cuda", torch.cuda), ("xpu", torch.xpu), ("mps", torch.backends.mps))
    return here | {f"torch_{name}" for name, kind in found if kind.is_available()}


def _raise_if_passing(error: BaseException | None) -> None:
    """Raises what no other checkpoint would mend, such as too many open files."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in PASSING):
            raise error
        error = error.__cause__


class ReplayFiles(StateFiles):
    """TorchRL's adapter for a replay: its state, and links to its journal's segments."""

    adapter_id = "catzoo.replay_files"

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def save(self, component: Replay, path: Path, **_: Any) -> None:
        """Writes the state and links the segments, which the journal has written."""
        write_state(path, component.state_dict())
        self.journal.link_into(path / "rows")

    def load(self, component: Replay, path: Path, **_: Any) -> None:
        """Reads both."""
        component.restore(read_state(path), lambda: self.journal.restore(path / "rows"))


def _on_one_line(error: Exception) -> str:
    """What is wrong, whatever characters of a stranger's file it quotes."""
    text = " ".join(str(error).split())[:200] or type(error).__name__
    return text if text.isprintable() else ascii(text)


def _replace(source: Path, target: Path) -> None:
    """Renames a folder over another one, which is out of sight before and gone after."""
    hidden = target.with_name(f".{target.name}")
    if target.exists():
        replace(target, hidden)
    replace(source, target)
    shutil.rmtree(hidden, ignore_errors=True)


def _remove(path: Path) -> None:
    """Takes a folder out of sight at once, and then away."""
    hidden = path.with_name(f".{path.name}")
    try:
        replace(path, hidden)
    except OSError as error:
        if error.errno not in IN_USE:  # somebody reads it: the next save tries again
            raise
    shutil.rmtree(hidden, ignore_errors=True)
