"""Weights & Biases: a run of its own for each of ours, and links that are in nobody's way."""

import sys
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import pytest

from catzoo.hparams import RecipeError
from catzoo.zoo.folders.run_folder import refuse_links
from catzoo.zoo.training.loop import check_wandb, wandb_run


def test_links_of_weights_and_biases_are_no_reason_to_refuse(tmp_path):
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "latest-run").symlink_to(tmp_path)
    refuse_links(tmp_path)
    (tmp_path / "checkpoints" / "wandb").mkdir(parents=True)
    (tmp_path / "checkpoints" / "wandb" / "link").symlink_to(tmp_path)
    with pytest.raises(RecipeError, match="is a symbolic link"):
        refuse_links(tmp_path)


def test_two_runs_are_not_logged_as_one(monkeypatch):
    ended = []
    fake = SimpleNamespace(run=None, finish=lambda: ended.append(True), __spec__=ModuleSpec("wandb", None))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    check_wandb("mine")
    with pytest.raises(RuntimeError), wandb_run("mine"):
        raise RuntimeError
    assert ended == [True]
    fake.run = "another"
    with pytest.raises(RecipeError, match="is open in this process"):
        check_wandb("mine")
    check_wandb(None)
