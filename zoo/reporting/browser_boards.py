"""`board`: TensorBoard on runs, or optuna-dashboard on a study, in a process of its own until Ctrl+C."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from catzoo.hparams import RecipeError
from catzoo.hparams.paths import Typed, path_of
from catzoo.zoo.folders.study_folder import StudyFolder
from catzoo.zoo.system.console import say, waiting
from catzoo.zoo.system.exit_status import last_words
from catzoo.zoo.system.signals import stops_raise

POLL = 0.1
"""Seconds between looks at whether the board answers."""
CALL = """\
import sys
from importlib.metadata import entry_points
sys.argv = sys.argv[1:]
sys.exit(next(iter(entry_points(group="console_scripts", name=sys.argv[0]))).load()())
"""
"""Does what a package's command does, by this Python and wherever the command lies."""
STORAGES = (b'{"op_code"', b"SQLite format 3")
"""How a file begins that optuna-dashboard reads."""
GRACE = 5.0
"""Seconds that a board has to end by itself."""


class Tool(NamedTuple):
    """A program that shows its page in a browser."""

    title: str
    package: str
    command: str
    port: int
    """Its own, where none is asked for."""


TENSORBOARD = Tool("TensorBoard", "tensorboard", "tensorboard", 6006)
DASHBOARD = Tool("optuna-dashboard", "optuna_dashboard", "optuna-dashboard", 8080)


def board(
    folders: Typed | Sequence[Typed],
    *,
    port: int | None = None,
    host: str = "localhost",
    progress: Callable[[str], None] | None = say,
) -> None:
    """Serves a board on runs or on a study until it is interrupted.

    Runs are shown by TensorBoard, also while they train, and those that begin later in a folder of runs; a
    study is shown by optuna-dashboard. Both are of the extra `board`.

    Args:
        folders: run folders and folders that hold runs at any depth; or one study: its folder, its journal,
            or the URL of an Optuna storage.
        port: where it listens; TensorBoard's is 6006, optuna-dashboard's 8080.
        host: from where it is seen; `0.0.0.0`: from every machine that reaches this one, without a password.
        progress: prints the address; None: nothing is shown.

    Raises:
        RecipeError: no such folder, nothing to show in it, the tool is not installed, it cannot listen at
            that port, or it ended with an error.
    """
    paths = [folders] if isinstance(folders, str | os.PathLike) else list(folders)
    studies = [storage for path in paths if (storage := _storage(path)) is not None]
    if studies and len(paths) > 1:
        raise RecipeError("name runs, or one study: optuna-dashboard shows one storage at a time")
    tool = DASHBOARD if studies else TENSORBOARD
    with tempfile.TemporaryDirectory(prefix="catzoo-board-") as scratch:
        tree = Path(scratch, "runs")
        if not studies:
            _link([path_of(path) for path in paths], tree)
        if find_spec(tool.package) is None:
            raise RecipeError(f"{tool.title} is not installed: pip install 'catzoo[board]'")
        port = tool.port if port is None else port
        _check_port(host, port)
        words = studies or ["--logdir", str(tree)]
        _serve(tool, words, Path(scratch, "log"), host, port, progress)


def _storage(typed: Typed) -> str | None:
    """What optuna-dashboard is to open; None: it is no study."""
    text = os.fspath(typed)
    if "://" in text:
        return text
    path = path_of(text)
    if path.is_file():
        with path.open("rb") as file:
            if not file.read(16).startswith(STORAGES):
                raise RecipeError(f"{path}: neither a journal nor an SQLite file of Optuna's")
        return str(path.absolute())
    folder = StudyFolder(path)
    if not folder.settings_file.is_file():
        return None
    if not folder.journal.is_file():
        raise RecipeError(f"{path}: its study is in a storage elsewhere: name that, as --storage did")
    return str(folder.journal.absolute())


def _link(paths: Sequence[Path], tree: Path) -> None:
    """A folder with a link to each of some folders: what TensorBoard advises for several of them.

    Raises:
        RecipeError: no such folder, or no event file in it.
    """
    # Not `absolute`, which keeps `..`: a link would come to lie elsewhere than in the tree.
    whole = {Path(os.path.abspath(path)): path for path in paths}
    whole = {full: path for full, path in whole.items() if not whole.keys() & set(full.parents)}
    above = Path(os.path.commonpath([full.parent for full in whole]))
    for full, path in whole.items():
        if not full.is_dir():
            raise RecipeError(f"{path}: no such folder, and no study")
        if next(full.rglob("events.out.tfevents.*"), None) is None:
            raise RecipeError(
                f"{path}: neither a study nor a run that has begun, nor a folder that holds some"
            )
        link = tree / full.relative_to(above)
        link.parent.mkdir(parents=True, exist_ok=True)
        is_run = (full / "recipe.yaml").is_file() and (full / "tensorboard").is_dir()
        link.symlink_to(full / "tensorboard" if is_run else full)


def _check_port(host: str, port: int) -> None:
    """RecipeError unless a board can listen there."""
    if not 0 < port < 2**16:
        raise RecipeError(f"port={port}: must be between 1 and {2**16 - 1}")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
    except OSError as error:
        why = error.strerror or error
        raise RecipeError(
            f"{_in_url(host)}:{port}: cannot listen there: {why}; choose another --port"
        ) from None


def _serve(
    tool: Tool, words: Sequence[str], log: Path, host: str, port: int, tell: Callable[[str], None] | None
) -> None:
    """Starts a board, says where it is, and ends it when this process is interrupted.

    Raises:
        RecipeError: it ended by itself, with an error.
    """
    command = [sys.executable, "-P", "-c", CALL, tool.command, *words, "--host", host, "--port", str(port)]
    with log.open("wb") as output, stops_raise():
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
        )
        try:
            seen_at = "localhost" if host in ("0.0.0.0", "::") else host
            with waiting(f"{tool.title} begins", shown=tell is not None):
                while process.poll() is None and not _answers(seen_at, port):
                    time.sleep(POLL)
            if process.poll() is None and tell is not None:
                tell(f"{tool.title}: http://{_in_url(seen_at)}:{port}/   Ctrl+C ends it")
            status = process.wait()
        except KeyboardInterrupt:
            return
        finally:
            _end(process)
    if status:
        said = last_words(log.read_text(encoding="utf-8", errors="replace"))
        raise RecipeError(f"{tool.title} ended with status {status}: {said or 'no message'}")


def _in_url(host: str) -> str:
    """A host as it stands before a port: an IPv6 address has colons of its own."""
    return f"[{host}]" if ":" in host else host


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a board and the processes that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
