"""An agent of the zoo in a trainer that is not ours."""

import dataclasses

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

import catzoo
from catzoo.agents import Compute
from catzoo.hparams import RecipeError
from catzoo.zoo.training.torch_state import own_torch
from catzoo.zoo.training.weights import load_agent
from tiny_runs_for_tests import TINY, tiny

STEPS = 600


@pytest.fixture
def module():
    with own_torch():
        made = catzoo.lightning_agent("dqn", "CartPole-v1", steps=STEPS, seed=3, overrides=TINY)
        yield made
        made.work.close()


def fit(module, *callbacks, **settings):
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, callbacks=list(callbacks), enable_progress_bar=False,
        enable_model_summary=False, **{"max_epochs": -1, "enable_checkpointing": bool(callbacks), **settings},
    )  # fmt: skip
    trainer.fit(module)
    return trainer


def test_the_weights_are_those_of_train(module, tmp_path):
    fit(module, limit_train_batches=7)
    tiny(tmp_path / "run", steps=STEPS, seed=3)
    own, theirs = module.agent.state_dict(), load_agent(tmp_path / "run")[1].state_dict()
    assert own.keys() == theirs.keys()
    assert all(torch.equal(own[name], theirs[name]) for name in own)


def test_it_stops_after_its_steps_and_counts_updates(module):
    trainer = fit(module, limit_train_batches=7)
    assert STEPS <= module.work.steps < STEPS + 20
    assert trainer.current_epoch > 1
    assert trainer.global_step == module.work.updates > 0
    assert trainer.callback_metrics["train/return"] == pytest.approx(module.work.metrics["train/return"])


def test_callbacks_of_lightning_watch_the_metrics(module, tmp_path):
    best = ModelCheckpoint(dirpath=tmp_path, monitor="train/return", mode="max")
    early = EarlyStopping("train/return", mode="max", stopping_threshold=1.0, check_on_train_epoch_end=True)
    fit(module, best, early, limit_train_batches=10)
    assert 100 < module.work.steps <= 200  # any return is above the threshold: one epoch of 10 x 4 x 5
    weights = torch.load(best.best_model_path, weights_only=True)["state_dict"]
    module.load_state_dict(weights)
    assert set(weights) == {f"agent.{name}" for name in module.agent.state_dict()}


def test_another_device_than_the_trainers_is_refused(module):
    module.work.compute = dataclasses.replace(Compute(), device=torch.device("cuda"))
    with pytest.raises(RecipeError, match=r"compute\.device=cuda, and the trainer's accelerator is cpu"):
        fit(module)


@pytest.mark.parametrize(
    ("override", "words"),
    [("compute.devices=2", "a trainer of your own has one"), ("record=0.5", "needs a run folder")],
)
def test_what_needs_more_than_a_trainer_is_refused(override, words):
    with pytest.raises(RecipeError, match=words):
        catzoo.lightning_agent("dqn", "CartPole-v1", overrides=[override])
