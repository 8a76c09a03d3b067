"""Studies whose processes and machines die: nothing is lost, doubled or mixed."""

import time

import optuna
import pytest

from catzoo.hparams.tuning.optuna_study import best_of, quiet
from catzoo.hparams.tuning.samplers import suggest
from catzoo.hparams.tuning.space import Space
from catzoo.zoo.tuning.outcome import state_of
from trials_for_tests import DEFAULTS, quick_to_give_up, summary, trials_in, work, worth

"""Studies: seeded, continued, counted right."""


@pytest.fixture(autouse=True)
def _quiet():
    with quiet():
        yield


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_trial_that_was_killed_among_its_values_has_the_same_ones(sampler, tmp_path, monkeypatch):
    whole = trials_in(tmp_path / "whole", sampler=sampler)
    work(whole, 12)
    suggest = optuna.trial.Trial._suggest
    for wanted in range(2, 13):
        trials = trials_in(tmp_path / "cut", sampler=sampler)
        work(trials, wanted - 1)
        with monkeypatch.context() as dying:
            dying.setattr(
                optuna.trial.Trial,
                "_suggest",
                lambda self, key, *more: 1 / 0 if key == "double" else suggest(self, key, *more),
            )
            with pytest.raises(ZeroDivisionError):
                trials.next(wanted)
        (trial,) = trials_in(tmp_path / "cut", sampler=sampler).interrupted()
        trials.end(trial, worth(trial.params), scores=[1.0])
    assert summary(trials_in(tmp_path / "cut", sampler=sampler)) == summary(whole)


def killed_before_it_tells(trials, monkeypatch, end):
    with monkeypatch.context() as dying:
        dying.setattr(trials, "_tell", lambda *_, **__: None)
        end()


@pytest.mark.parametrize("last", ["error", "pruned"])
def test_what_a_killed_process_meant_to_say_is_no_end(last, tmp_path, monkeypatch):
    trials = trials_in(tmp_path / "j")
    trials.end(trials.next(2), 1.0)
    trial = trials.next(2)
    said = {"error": lambda: trials.fail(trial, "nan"), "pruned": lambda: trials.prune(trial, None)}
    killed_before_it_tells(trials, monkeypatch, said[last])
    trials = trials_in(tmp_path / "j")
    assert state_of(trials.all()[1]) == "running"
    (again,) = trials.interrupted()
    trials.end(again, 9.0)
    assert [state_of(trial) for trial in trials.all()] == ["complete", "complete"]
    assert best_of(trials.all()).number == 1


def test_a_trial_that_failed_is_not_made_again_when_its_machine_dies(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    ours, theirs = trials_in(url), trials_in(url, place="there")
    quick_to_give_up(ours, monkeypatch)
    trial = theirs.next(2)
    killed_before_it_tells(theirs, monkeypatch, lambda: theirs.fail(trial, "nan"))
    time.sleep(2.1)
    ours.end(ours.next(2), 2.0)
    assert ours.next(2) is None
    assert [(trial.number, state_of(trial)) for trial in ours.all()] == [(0, "failed"), (1, "complete")]


def test_half_of_a_dead_machines_values_are_not_mixed_with_others(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    ours, theirs = trials_in(url, sampler="random"), trials_in(url, sampler="random", place="there")
    quick_to_give_up(ours, monkeypatch)
    ours.end(ours.next(3), 1.0)
    with monkeypatch.context() as dying:
        dying.setattr(
            "catzoo.hparams.tuning.optuna_study.suggest",
            lambda trial, space: suggest(trial, Space(space.parameters[:1])),
        )
        lost = theirs.next(3)
    assert len(lost.params) == 1
    time.sleep(2.1)
    again = ours.next(3)
    assert (again.number, len(again.params)) == (2, 3)
    assert again.params["optimizer.lr"] != lost.params["optimizer.lr"]


def test_a_dead_machines_trial_is_made_by_another_and_counts_once(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    ours, theirs = trials_in(url), trials_in(url, place="there")
    lost = theirs.next(2)
    ours.end(ours.next(2), 1.0)
    assert ours.next(2) is None
    monkeypatch.setattr(ours.storage, "_backend", ours.storage._backend, raising=False)
    backend = getattr(ours.storage, "_backend", ours.storage)
    backend.grace_period, backend.heartbeat_interval = 0, 1
    time.sleep(2.1)
    again = ours.next(2)
    assert again is not None
    assert again.params == lost.params
    assert not theirs.report(lost, 99.0, 0)  # it was only away
    theirs.end(lost, 99.0)
    ours.end(again, 2.0)
    assert [trial.value for trial in ours.all()] == [1.0, 2.0]
    assert ours.next(2) is None


def test_a_machine_that_dies_while_it_takes_a_trial_leaves_it_to_others(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    ours, theirs = trials_in(url), trials_in(url, place="there")
    quick_to_give_up(ours, monkeypatch)
    with monkeypatch.context() as dying:
        dying.setattr(optuna.trial.Trial, "set_user_attr", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            theirs.next(1)
    assert ours.next(1) is None
    time.sleep(2.1)
    (again,) = [ours.next(1)]
    assert again is not None
    assert again.params == DEFAULTS


def test_what_takes_a_dead_machines_trial_is_nobodys_until_somebody_has_it(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    ours, theirs = trials_in(url), trials_in(url, place="there")
    theirs.next(1)
    quick_to_give_up(ours, monkeypatch)
    time.sleep(2.1)
    ours._fail_stale()
    (waiting,) = [trial for trial in ours.all() if trial.state.name == "WAITING"]
    assert "place" not in waiting.user_attrs
