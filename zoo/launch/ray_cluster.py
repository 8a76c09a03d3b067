"""A Ray cluster: joined or started, its nodes asked whether they can do the work, and what there is room for.

Everything that would keep every job from working is found here, before any of them begins.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from catzoo.hparams import RecipeError
from catzoo.version import __version__
from catzoo.zoo.launch.jobs import Needs
from catzoo.zoo.system.signals import in_main_thread

ANSWER = 5.0
"""Seconds that a cluster has to answer at its address."""
NODES_ANSWER = 60.0
"""Seconds that its nodes have to answer: each starts a process for that."""
GB = 10**9
ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"
"""What `ray health-check` calls."""


@contextmanager
def joined(address: str) -> Iterator[None]:
    """Connects this process to a cluster, for as long as the block.

    Args:
        address: `host:port` of its head node, `ray://host:port` of its server for clients, or `auto`: the one
            that RAY_ADDRESS names, else the last that `ray start` started here, else one that is started now
            and ends with the block. A process that is connected already stays with its own.

    Raises:
        RecipeError: Ray is not installed, does not answer there, or is of another version.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        import ray
    except ImportError:
        raise RecipeError("Ray is not installed: pip install 'catzoo[ray]'") from None
    if ray.is_initialized():
        yield
        return
    _hush(ray)
    handler = signal.getsignal(signal.SIGTERM)  # which Ray takes
    try:
        _connect(ray, address)
    finally:
        if in_main_thread():
            signal.signal(signal.SIGTERM, handler)
    try:
        yield
    except ConnectionError as error:
        raise RecipeError(
            f"{address}: Ray answers no more: {_line(error)}; the same command goes on"
        ) from None
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    quiet = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    named = _running(address)
    try:
        if named is not None:
            ray.init(named, **quiet)
        else:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody asked for reports to Ray's makers
            ray.init("local", include_dashboard=False, **quiet)
    except (ConnectionError, ValueError, RuntimeError, AssertionError) as error:
        ray.shutdown()  # of what was begun
        raise RecipeError(f"--cluster {address}: {_said(error)}") from None


def _running(address: str) -> str | None:
    """Where Ray answers; None: nowhere, and one is to be started.

    Ray's own `auto` is not asked: it joins any Ray of this machine, which may be another command's and end
    with it, and with 2.60 no actor of a process that joined so ever ran.
    """
    if address != "auto":
        _answers(address)
        return address
    if named := os.environ.get("RAY_ADDRESS", ""):
        _answers(named)
        return named
    from ray._private.services import find_bootstrap_address

    started: str | None = find_bootstrap_address(None)  # what `ray start` wrote
    try:
        if started:
            _answers(started)
    except RecipeError:  # it ended since
        return None
    return started or None


def _answers(address: str) -> None:
    """Asks for a sign of life, for which Ray itself would wait for minutes.

    Raises:
        RecipeError: there is none, or it is not Ray's.
    """
    import grpc

    place = address.removeprefix("ray://")
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit():
        raise RecipeError(f"--cluster {address}: must be auto, HOST:PORT or ray://HOST:PORT")
    try:
        with grpc.insecure_channel(place) as channel:
            if place == address:
                channel.unary_unary(ALIVE)(b"", timeout=ANSWER)
            else:
                grpc.channel_ready_future(channel).result(ANSWER)
    except grpc.FutureTimeoutError:
        pass
    except grpc.RpcError as error:
        deaf = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "UNIMPLEMENTED")
        if error.code().name not in deaf:  # it wants a token, say: Ray knows better what
            return
    else:
        return
    raise RecipeError(f"--cluster {address}: no Ray answers there: ray status says whether one runs")


def _said(error: Exception) -> str:
    """A line on why Ray did not let us in."""
    lines = [line.strip() for line in str(error).splitlines()]
    if not lines or not lines[0].startswith("Version mismatch"):
        return _line(error)
    theirs, ours = (
        ", ".join(line for line in part if line.startswith(("Ray:", "Python:")))
        for part in (lines[:3], lines[3:])
    )
    return f"the cluster has other versions ({theirs}) than this process ({ours}): use the same"


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _hush(ray: Any) -> None:
    """Keeps the last words of a node's raylet, thirty lines, off our output: Ray has no option for that."""
    from ray._private import worker

    worker.print_to_stdstream = lambda *_, **__: None


def alive() -> list[dict[str, Any]]:
    """The nodes that are alive, as Ray describes them."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def places_on(node: Mapping[str, Any], needs: Needs) -> int:
    """How many jobs there is room for on a node that does nothing else."""
    has = node["Resources"]
    rooms = [
        int(has.get(name, 0.0) / needed + 1e-6)
        for name, needed in (
            ("CPU", needs.cpus),
            ("GPU", needs.gpus or 0.0),
            ("memory", needs.memory * GB),
        )
        if needed
    ]
    return min(rooms, default=1)


def settled(needs: Needs, nodes: Sequence[Mapping[str, Any]]) -> Needs:
    """What a job asks this cluster for: `gpus` is decided.

    Raises:
        RecipeError: no node has so much; says the most that one has.
    """
    most = {key: max((node["Resources"].get(key, 0.0) for node in nodes), default=0.0) for key in UNITS}
    gpus = float(most["GPU"] >= 1) * needs.devices if needs.gpus is None else needs.gpus
    needs = dataclasses.replace(needs, gpus=gpus)
    asked = {"CPU": needs.cpus, "GPU": gpus, "memory": needs.memory * GB}
    for name, (key, unit, size) in UNITS.items():
        if asked[name] > most[name]:
            raise RecipeError(
                f"{key}={asked[name] / size:g}: no node of the cluster has so many {unit}: the most that one "
                f"has is {most[name] / size:.4g}"
            )
    if not any(places_on(node, needs) for node in nodes):
        raise RecipeError(
            f"no node of the cluster has compute.threads={needs.cpus}, compute.gpus={gpus:g} and "
            f"compute.memory={needs.memory:g} together"
        )
    return needs


UNITS = {
    "CPU": ("compute.threads", "cores", 1),
    "GPU": ("compute.gpus", "GPUs", 1),
    "memory": ("compute.memory", "GB of memory", GB),
}
"""What a node has, as Ray calls it: the key that asks for it, its unit, and how many of Ray's make one."""


def check_nodes(nodes: Sequence[Mapping[str, Any]], root: Path | None) -> None:
    """Asks every node whether it has this version of ours, and sees a folder.

    Args:
        nodes: those that are to work.
        root: where the jobs' folders will be; None: they need not be shared.

    Raises:
        RecipeError: names the first node that cannot do the work.
    """
    with _token(root) as token:
        answers = _ask(nodes, None if token is None else str(token))
    for node, answer in zip(nodes, answers, strict=True):
        name = f"node {node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        if answer is None:
            raise RecipeError(f"{name} does not answer within {NODES_ANSWER:.0f} s")
        if answer["problem"] is not None:
            raise RecipeError(
                f"{name} cannot import catzoo: {answer['problem']}: install {__version__} there"
            )
        if answer["version"] != __version__:
            raise RecipeError(f"{name} has catzoo {answer['version']}, this is {__version__}: use the same")
        if token is not None and answer["token"] != token.name:
            raise RecipeError(
                f"{name} does not share {token.parent}: have the runs on a file system that all nodes "
                "share, or brought here with --bring-back"
            )


@contextmanager
def _token(root: Path | None) -> Iterator[Path | None]:
    """A file in the folder, or in the one that it will be made in, for as long as the block."""
    if root is None:
        yield None
        return
    folder = next(place for place in (root, *root.parents) if place.is_dir())
    file = folder / f".catzoo-{uuid.uuid4().hex}.tmp"
    try:
        file.write_text(file.name, encoding="ascii")
    except OSError as error:
        raise RecipeError(f"{root}: cannot be written: {error.strerror or error}") from None
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


def _ask(nodes: Sequence[Mapping[str, Any]], token: str | None) -> list[dict[str, Any] | None]:
    """What each node says; None: nothing in time."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # Inside of this function, so that it travels as it is and needs nothing of ours there.
    def answer(token: str | None) -> dict[str, Any]:
        said: dict[str, Any] = {"problem": None, "version": None, "token": None}
        try:
            import catzoo.zoo.launch.processes  # noqa: F401
            from catzoo.version import __version__

            said["version"] = __version__
        except Exception as error:
            said["problem"] = f"{type(error).__name__}: {error}"
        try:
            if token is not None:
                with open(token, encoding="ascii") as file:
                    said["token"] = file.read()
        except OSError:
            pass
        return said

    task = ray.remote(num_cpus=0, max_retries=0)(answer)
    asked = [
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
            token
        )
        for node in nodes
    ]
    ready, _ = ray.wait(asked, num_returns=len(asked), timeout=NODES_ANSWER)
    answers: list[dict[str, Any] | None] = []
    for one in asked:
        try:
            answers.append(ray.get(one) if one in ready else None)
        except ray.exceptions.RayError as error:
            answers.append({"problem": _line(error)})
    return answers
