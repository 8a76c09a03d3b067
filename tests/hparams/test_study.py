"""Studies: seeded, continued, counted right; and what a storage that does not work says."""

import pytest

from catzoo.hparams import RecipeError
from catzoo.hparams.samplers import PRUNERS, SAMPLERS, SeededSampler, make_pruner, wilcoxon_threshold
from catzoo.hparams.space import Parameter, Space
from catzoo.hparams.storage import open_storage, shown_url
from catzoo.hparams.study import Trials, best_of, quieten

SPACE = Space(
    (
        Parameter("optimizer.lr", "float", 1e-4, 1e-2, log=True),
        Parameter("value_loss.num_bins", "int", 21, 201),
        Parameter("double", "choice", choices=(True, False)),
    )
)
DEFAULTS = {"optimizer.lr": 1e-3, "value_loss.num_bins": 51, "double": True}


@pytest.fixture(autouse=True)
def quiet():
    quieten()


def trials_in(file, *, sampler="tpe", pruner="none", seed=0, space=SPACE, defaults=DEFAULTS, place="here"):
    return Trials(
        "study",
        open_storage(file),
        SeededSampler(sampler, space, defaults, seed),
        make_pruner(pruner, 3, 300),
        place,
    )


def worth(params):
    return -abs(params["optimizer.lr"] - 5e-3) + params["value_loss.num_bins"] / 1e5


def work(trials, wanted, stop=10**9):
    made = 0
    while (trial := trials.next(wanted)) is not None:
        if made == stop:
            return trial
        trials.end(trial, worth(trial.params), scores=[1.0])
        made += 1
    return None


def summary(trials):
    return [(trial.number, trial.params, trial.value, trial.state.name) for trial in trials.all()]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_seed_makes_the_same_study(sampler, tmp_path):
    if sampler == "cmaes":
        pytest.importorskip("cmaes")
    found = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        trials = trials_in(tmp_path / name, sampler=sampler, seed=seed)
        work(trials, 14)
        found.append(summary(trials))
    assert found[0] == found[1] != found[2]
    assert found[0][0][1] == DEFAULTS
    assert len({str(params) for _, params, *_ in found[0]}) == 14


@pytest.mark.parametrize("sampler", ["tpe", "grid"])
def test_an_interrupted_study_is_the_one_that_was_not(sampler, tmp_path):
    whole = trials_in(tmp_path / "whole", sampler=sampler)
    work(whole, 15)
    for stop in (0, 1, 5, 2):
        trials = trials_in(tmp_path / "cut", sampler=sampler)
        for trial in trials.interrupted():
            trials.end(trial, worth(trial.params), scores=[1.0])
        work(trials, 15, stop)
    with (tmp_path / "cut").open("ab") as file:
        file.write(b'{"op_code": 5, "worker')  # a line that was being written
    trials = trials_in(tmp_path / "cut", sampler=sampler)
    (open_one,) = trials.interrupted()
    trials.end(open_one, worth(open_one.params), scores=[1.0])
    work(trials, 15)
    assert summary(trials) == summary(whole)


def test_trial_0_is_empty_where_the_default_is_outside(tmp_path):
    trials = trials_in(tmp_path / "j", defaults=None)
    first, second = trials.next(2), trials.next(2)
    assert (first.params, len(second.params)) == ({}, 3)


def test_a_grid_has_every_point_once_and_an_end(tmp_path):
    space = Space(
        (Parameter("double", "choice", choices=(True, False)), Parameter("n_step", "int", 1, 9, points=3))
    )
    trials = trials_in(tmp_path / "j", sampler="grid", space=space, defaults={"double": True, "n_step": 3})
    assert trials.at_most(100) == 7
    while (trial := trials.next(trials.at_most(100))) is not None:
        trials.end(trial, 1.0)
    points = [tuple(trial.params.values()) for trial in trials.all()][1:]
    assert sorted(points) == sorted((double, n) for double in (True, False) for n in (1, 5, 9))


def test_failed_trials_count_and_are_never_the_best(tmp_path):
    trials = trials_in(tmp_path / "j")
    for number in range(4):
        trial = trials.next(4)
        if number == 1:
            trials.fail(trial, "NaN")
        elif number == 2:
            trials.prune(trial, 100.0)
        else:
            trials.end(trial, float(number))
    assert trials.next(4) is None
    assert len(trials.finished()) == 4
    assert best_of(trials.all()).number == 3


def test_wilcoxon_ends_a_trial_that_loses_on_every_seed(tmp_path):
    trials = trials_in(tmp_path / "j", pruner="wilcoxon")
    first = trials.next(9)
    assert not any(trials.report(first, value, seed) for seed, value in enumerate((10.0, 11.0, 12.0)))
    trials.end(first, 11.0)
    worse, mixed = trials.next(9), trials.next(9)
    assert not trials.report(worse, 9.0, 0)
    assert trials.report(worse, 10.0, 1)
    assert not trials.report(mixed, 20.0, 0)
    assert not trials.report(mixed, 8.0, 1)


def test_the_threshold_lets_few_seeds_decide():
    from scipy.stats import wilcoxon

    for instances, needed in ((3, 2), (5, 2), (8, 3), (20, 3)):
        threshold = wilcoxon_threshold(instances)
        smallest = [wilcoxon([-1.0] * n, alternative="less", zero_method="zsplit").pvalue for n in (1, 2, 3)]
        assert smallest[needed - 1] < threshold
        assert needed == 2 or smallest[needed - 2] > threshold


@pytest.mark.parametrize("pruner", PRUNERS)
def test_every_pruner_can_be_made(pruner, tmp_path):
    trials = trials_in(tmp_path / "j", pruner=pruner)
    trial = trials.next(1)
    assert trials.report(trial, 1.0, 10) in (True, False)


def test_a_database_keeps_what_a_journal_keeps(tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    trials = trials_in(url)
    journal = trials_in(tmp_path / "j")
    work(trials, 8)
    work(journal, 8)
    assert summary(trials) == summary(journal)


def test_machines_that_share_a_study_leave_each_others_trials_alone(tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    ours, theirs = trials_in(url), trials_in(url, place="there")
    mine, other = ours.next(3), theirs.next(3)
    assert [trial.number for trial in trials_in(url).interrupted()] == [mine.number]
    assert [trial.number for trial in trials_in(url, place="there").interrupted()] == [other.number]
    third = ours.next(3)
    assert third is not None
    assert theirs.next(3) is None


def test_a_dead_machines_trial_is_made_by_another_and_counts_once(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    ours, theirs = trials_in(url), trials_in(url, place="there")
    lost = theirs.next(2)
    ours.end(ours.next(2), 1.0)
    assert ours.next(2) is None
    monkeypatch.setattr(ours.storage, "_backend", ours.storage._backend, raising=False)
    backend = getattr(ours.storage, "_backend", ours.storage)
    backend.grace_period, backend.heartbeat_interval = 0, 1
    import time

    time.sleep(2.1)
    again = ours.next(2)
    assert again is not None
    assert again.params == lost.params
    assert not theirs.report(lost, 99.0, 0)  # it was only away
    theirs.end(lost, 99.0)
    ours.end(again, 2.0)
    assert [trial.value for trial in ours.all()] == [1.0, 2.0]
    assert ours.next(2) is None


def test_a_machine_that_comes_back_late_goes_on_with_its_own(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    first = trials_in(url).next(1)
    later = trials_in(url)
    backend = getattr(later.storage, "_backend", later.storage)
    monkeypatch.setattr(backend, "grace_period", 1)
    monkeypatch.setattr(backend, "heartbeat_interval", 1)
    import time

    time.sleep(2.1)
    again = later.interrupted()
    assert [trial.number for trial in again] == [first.number]
    assert later.next(1) is None
    later.end(again[0], 1.0)
    assert [(trial.number, trial.state.name) for trial in later.all()] == [(0, "COMPLETE")]


def test_what_was_judged_before_an_interruption_is_not_judged_again(tmp_path):
    trials = trials_in(tmp_path / "journal", pruner="wilcoxon")
    best = trials.next(3)
    for step in range(3):
        trials.report(best, 10.0 + step, step)
    trials.end(best, 11.0)
    other = trials.next(3)
    assert not trials.report(other, 1.0, 0)
    assert trials.report(other, 1.0, 1)
    assert not trials.report(other, 1.0, 0), "the second run decides, with both scores"
    assert trials.report(other, 1.0, 1)


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_values_are_sampled_together_though_the_default_is_outside(sampler, tmp_path, monkeypatch):
    if sampler == "cmaes":
        pytest.importorskip("cmaes")
    trials = trials_in(tmp_path / "journal", sampler=sampler, defaults=None)
    alone = []
    single = SeededSampler.sample_independent

    def counted(self, study, trial, name, distribution):
        alone.append((trial.number, name))
        return single(self, study, trial, name, distribution)

    monkeypatch.setattr(SeededSampler, "sample_independent", counted)
    trials.end(trials.next(14), 0.0)
    work(trials, 14)
    late = {name for number, name in alone if number > 10}
    assert late <= ({"double"} if sampler == "cmaes" else set())


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("nosuchdb://host/x", "cannot be used"),
        ("postgresql://me:secret@127.0.0.1:1/x", "driver is missing|cannot be used"),
        ("grpc://localhost", "must be grpc://host:port"),
        ("sqlite:////nowhere/at/all/x.db", "unable to open"),
        ("/nowhere/at/all/journal", "cannot be used"),
    ],
)
def test_a_storage_that_cannot_be_used(where, words):
    with pytest.raises(RecipeError, match=words) as error:
        open_storage(where)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_no_password_is_shown():
    assert shown_url("postgresql+psycopg://me:a:b@host/db") == "postgresql+psycopg://me@host/db"
    assert shown_url("sqlite:///x.db") == "sqlite:///x.db"


@pytest.mark.parametrize(
    "make", [lambda: SeededSampler("tpee", SPACE, None, 0), lambda: make_pruner("wilcox", 3, 9)]
)
def test_unknown_names_have_a_nearest_one(make):
    with pytest.raises(RecipeError, match="did you mean"):
        make()
