"""Where Optuna studies are kept: a journal in a file, any database, or Optuna's gRPC proxy."""

from __future__ import annotations

import contextlib
import copy
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from catzoo.hparams.paths import path_of
from catzoo.hparams.schema import RecipeError, brief
from catzoo.hparams.tuning.samplers import DEFAULT, ERROR, SeededSampler

HEARTBEAT = 15
"""Seconds between a running trial's signs of life, in storages that machines share."""
GRACE = 90
"""Seconds without one, after which a trial is given to another worker."""
PLACE = "place"
"""Says in a trial's attributes which machine has it."""
RETRIES = 3
"""Times that a trial of a machine that died is given to another."""
JOURNAL_BEGINS = b'{"op_code"'


def open_storage(where: str | os.PathLike[str]) -> BaseStorage:
    """An Optuna storage.

    Args:
        where: a file, for a journal that the processes of one machine share and that this process alone
            writes; `grpc://host:port`, for Optuna's gRPC proxy; or any database URL that SQLAlchemy knows.

    Raises:
        RecipeError: it cannot be reached or written.
    """
    text = os.fspath(where)
    with reachable(text):
        if "://" not in text:
            return _journal(path_of(text))
        if text.startswith("grpc://"):
            return _proxy(text.removeprefix("grpc://"))
        return _database(text)


@contextlib.contextmanager
def reachable(text: str) -> Iterator[None]:
    """Says in one line, as a RecipeError, what is wrong with the storage that is used inside."""
    try:
        yield
    except RecipeError:
        raise
    except ImportError as error:
        raise RecipeError(f"{shown_url(text)}: its driver is missing: {first_line(error)}") from None
    except Exception as error:  # every database has errors of its own
        raise RecipeError(f"{shown_url(text)}: cannot be used: {first_line(error)}") from None


def storage_faults() -> tuple[type[Exception], ...]:
    """What a storage that stops answering in the middle of a study raises."""
    grpc = sys.modules.get("grpc")
    proxied = (grpc.RpcError,) if grpc is not None else ()
    return (optuna.exceptions.StorageInternalError, SQLAlchemyError, *proxied)


def shown_url(url: str) -> str:
    """A storage's URL without the password."""
    scheme, separator, rest = url.partition("://")
    login, at, host = rest.partition("?")[0].rpartition("@")  # a query may have a password as well
    user = login.partition(":")[0]
    return brief(f"{scheme}{separator}{user}{at}{host}" if separator else url, 4_096)


def first_line(error: BaseException) -> str:
    """What a storage's error says, without the statement that it came from."""
    cause = getattr(error, "orig", None) or error.__cause__ or error
    lines = [line for line in str(cause).splitlines() if line.strip()]
    return brief(lines[0] if lines else type(cause).__name__, 200)


def _journal(path: Path) -> BaseStorage:
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    with path.open("ab+") as file:
        file.seek(0)
        content = file.read()
        begins = content[: len(JOURNAL_BEGINS)]
        if not JOURNAL_BEGINS.startswith(begins):
            raise RecipeError(f"{path}: exists and is no journal of Optuna's: choose another storage")
        # A process that was killed may have left its lock, and half of a line.
        path.with_name(path.name + ".lock").unlink(missing_ok=True)
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
    return optuna.storages.JournalStorage(
        JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
    )


def _database(url: str) -> BaseStorage:
    for wait in (0.1, 0.3, 1.0, 3.0, 0.0):
        try:
            return optuna.storages.RDBStorage(
                url,
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=_retry,
            )
        except Exception as error:
            # Machines that start at once all find no tables, and all but one fail to make them.
            cause = error if isinstance(error, DBAPIError) else error.__cause__
            if not wait or not (isinstance(cause, IntegrityError) or "already exists" in str(cause)):
                raise
            time.sleep(wait * random.uniform(0.5, 1.5))
    raise AssertionError


def _retry(study: optuna.Study, trial: FrozenTrial) -> None:
    """Has a trial of a machine that died made again, by whoever asks first: it has no place yet.

    Not one that had failed for a reason before its machine did. Of half of a trial's values none are kept:
    what another number draws beside them would be a point that no sampler chose.
    """
    if trial.user_attrs.get(ERROR):
        return
    nobodys = copy.copy(trial)
    nobodys.user_attrs = {name: value for name, value in trial.user_attrs.items() if name == DEFAULT}
    assert isinstance(study.sampler, SeededSampler)
    if len(trial.params) < len(study.sampler.space.parameters):
        nobodys.params, nobodys.distributions = {}, {}
    optuna.storages.RetryHeartbeatStaleTrialCallback(RETRIES)(study, nobodys)


def _proxy(address: str) -> BaseStorage:
    host, _, port = address.rstrip("/").partition(":")
    if not port.isdecimal():
        raise RecipeError(f"grpc://{address}: must be grpc://host:port")
    storage = optuna.storages.GrpcStorageProxy(host=host or "localhost", port=int(port))
    try:
        storage.wait_server_ready(timeout=10)
    except Exception:  # grpc's own
        raise RecipeError(f"grpc://{address}: nobody answers") from None
    return storage
