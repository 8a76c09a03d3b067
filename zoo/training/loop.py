"""Lightning's loop over an agent, and the callbacks and loggers of a run."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Sequence
from typing import Any

from catzoo.hparams import Recipe, RecipeError
from catzoo.zoo.folders.run_folder import Run


def fit(agent: Any, *, callbacks: Sequence[Any] = (), loggers: Any = False) -> None:
    """Runs Lightning's loop over an attached agent until its `total_steps`.

    Everything that Lightning would do on its own (checkpoints, bars, sanity checks) is off: one step is
    one iteration, and the callbacks given are all there is.
    """
    import lightning.pytorch as pl

    device = agent.learner.device
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
    )
    try:
        trainer.fit(agent)
    except SystemExit:
        if not trainer.interrupted:
            raise
        # Lightning makes exit(1) of Ctrl-C, and leaves the signal ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from None
    agent.to(device)  # Lightning leaves it on the CPU


def run_callbacks(recipe: Recipe, run: Run, checkpoints: Any, saved: list[Any], stopping: Any) -> list[Any]:
    """Lightning's, in this order; `saved` are part of the checkpoints, and act before they are written."""
    from catzoo.agents import Checkpointing, Evaluation
    from catzoo.zoo.training.evaluate import evaluate_trained
    from catzoo.zoo.training.metrics_csv import EpisodeLog
    from catzoo.zoo.training.progress_bar import TrainingBar

    def interim(agent: Any) -> list[float]:
        return evaluate_trained(agent, recipe, recipe.eval.interim_episodes, purpose="interim")

    return [
        EpisodeLog(run.episodes),
        *saved,
        Evaluation(recipe.eval.every, interim),
        Checkpointing(recipe.checkpoint_every, checkpoints, stopping),
        stopping,
        TrainingBar(),
    ]


def run_loggers(run: Run, wandb: str | None, restored: int) -> list[Any]:
    from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

    from catzoo.zoo.training.metrics_csv import CSVMetrics

    loggers: list[Any] = [
        CSVMetrics(run.metrics),
        TensorBoardLogger(
            run.path / "tensorboard",
            name="",
            version="",
            default_hp_metric=False,
            purge_step=restored + 1 if restored else None,  # what comes after is done again
        ),
    ]
    if wandb is not None:
        loggers.append(WandbLogger(project=wandb, name=run.path.name, save_dir=run.path))
    return loggers


def check_wandb(project: str | None) -> None:
    if project is not None:
        try:
            import wandb  # noqa: F401
        except ImportError:
            raise RecipeError("Weights & Biases is not installed: pip install 'catzoo[wandb]'") from None


def quieten() -> None:
    """Hides what the libraries say about things that are as they should be."""
    for name in ("lightning.pytorch", "torchrl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in (
        ".*returned `None`, this fit.*",
        ".*LeafSpec.*",
        ".*does not have many workers.*",
        ".*litlogger.*",
        ".*IterableDataset.*",
        ".*GPU available.*",
    ):
        warnings.filterwarnings("ignore", message=message)
