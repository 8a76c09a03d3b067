"""Lightning's loop over an agent at work, and the loggers of a run."""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from catzoo.hparams import RecipeError
from catzoo.hparams.schema import brief
from catzoo.zoo.environments.registry import in_short
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.system.console import say

if TYPE_CHECKING:
    from catzoo.agents import AtWork


def fit(work: AtWork, *, callbacks: Sequence[Any] = (), loggers: Any = False) -> None:
    """Runs Lightning's loop over an agent at work until its `total_steps`.

    Everything that Lightning would do on its own (checkpoints, bars, sanity checks) is off: one step is
    one iteration, and the callbacks given are all there is. It is one process, under any batch system.
    """
    import lightning.pytorch as pl

    from catzoo.agents import LightningAgent
    from catzoo.zoo.training.one_process import OneProcess, first_rank

    device = work.compute.device
    trainer = pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=[device.index or 0] if device.type == "cuda" else 1,
        max_epochs=1,
        logger=loggers,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        strategy="auto",
        num_nodes=1,
        plugins=[OneProcess()],
        # Under Slurm it would look here for a checkpoint of its own, by name.
        default_root_dir=os.path.join(os.devnull, "none"),
    )
    try:
        with first_rank():
            trainer.fit(LightningAgent(work))
    except SystemExit:
        if not trainer.interrupted:
            raise
        # Lightning makes exit(1) of Ctrl-C, and leaves the signal ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from None
    finally:
        work.agent.to(device)  # Lightning leaves it on the CPU


def run_loggers(run: Run, wandb: str | None, restored: int) -> list[Any]:
    """Those of a run that begins or goes on at step `restored`."""
    from catzoo.zoo.training.metrics_csv import CSVMetrics

    loggers: list[Any] = [CSVMetrics(run.metrics), *_tensorboard(run, restored)]
    if wandb is not None:
        from lightning.pytorch.loggers import WandbLogger

        # Beside the run's folder: it makes symbolic links, which a run folder may not hold.
        loggers.append(WandbLogger(project=wandb, name=run.path.name, save_dir=run.folder.parent))
    return loggers


@contextmanager
def wandb_run(project: str | None) -> Iterator[None]:
    """Ends the log of Weights & Biases with what is inside: the next run would go on with it."""
    try:
        yield
    finally:
        if project is not None and (wandb := sys.modules.get("wandb")) is not None:
            wandb.finish()


def _tensorboard(run: Run, restored: int) -> list[Any]:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401
    except Exception as error:  # one that does not fit its protobuf raises what it likes
        say(f"TensorBoard is left out: {brief(in_short(error), 200)}; the metrics are in {run.metrics}")
        return []
    from catzoo.zoo.training.metrics_csv import Events

    return [
        Events(
            run.tensorboard,
            name="",
            version="",
            default_hp_metric=False,
            purge_step=restored + 1 if run.tensorboard.exists() else None,  # what comes after is done again
        )
    ]


def check_wandb(project: str | None) -> None:
    """RecipeError if Weights & Biases is asked for and not installed, or logs something else already."""
    if project is None:
        return
    if find_spec("wandb") is None:
        raise RecipeError("Weights & Biases is not installed: pip install 'catzoo[wandb]'")
    if getattr(sys.modules.get("wandb"), "run", None) is not None:
        raise RecipeError("a run of Weights & Biases is open in this process: wandb.finish() ends it")


@contextmanager
def quiet() -> Iterator[None]:
    """Hides what the libraries say about things that are as they should be."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "torchrl")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            _ignore_warnings()
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _ignore_warnings() -> None:
    for message in (
        ".*LeafSpec.*",
        ".*does not have many workers.*",
        ".*litlogger.*",
        ".*IterableDataset.*",
        ".*GPU available.*",
    ):
        warnings.filterwarnings("ignore", message=message)
