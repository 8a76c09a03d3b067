"""Studies: seeded, continued, counted right."""

import time

import optuna
import pytest

from catzoo.hparams import RecipeError
from catzoo.hparams.tuning.optuna_study import best_of, quiet
from catzoo.hparams.tuning.samplers import (
    PRUNERS,
    SAMPLERS,
    SeededSampler,
    is_default,
    make_pruner,
    wilcoxon_threshold,
)
from catzoo.hparams.tuning.space import Parameter, Space
from trials_for_tests import DEFAULTS, SPACE, quick_to_give_up, summary, trials_in, work, worth


@pytest.fixture(autouse=True)
def _quiet():
    with quiet():
        yield


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


@pytest.mark.parametrize("pruner", ["none", "hyperband"])  # under which a sampler sees a part of the trials
def test_a_grid_has_every_point_once_and_an_end(pruner, tmp_path):
    space = Space(
        (Parameter("double", "choice", choices=(True, False)), Parameter("n_step", "int", 1, 9, points=3))
    )
    defaults = {"double": True, "n_step": 3}
    trials = trials_in(tmp_path / "j", sampler="grid", pruner=pruner, space=space, defaults=defaults)
    assert trials.at_most(100) == 7
    assert (
        trials_in(tmp_path / "k", sampler="grid", space=space, defaults={**defaults, "n_step": 5}).at_most(
            100
        )
        == 6
    ), "the default is a point of the grid"
    while (trial := trials.next(trials.at_most(100))) is not None:
        trials.end(trial, 1.0)
    points = [tuple(trial.params.values()) for trial in trials.all()][1:]
    assert sorted(points) == sorted((double, n) for double in (True, False) for n in (1, 5, 9))


def test_a_grid_has_an_end():
    space = Space(tuple(Parameter(key, "float", 0.0, 1.0, points=1_000) for key in ("a", "b")))
    with pytest.raises(RecipeError, match="a grid of 1,000,000 points: must be at most 100,000"):
        SeededSampler("grid", space, None, 0)


@pytest.mark.parametrize(("direction", "trials"), [("minimize", 0), ("maximize", 1)])
def test_somebody_elses_study_is_left_alone(direction, trials, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    theirs = optuna.create_study(study_name="study", storage=url, direction=direction)
    theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=trials)
    trials = trials_in(url)
    with pytest.raises(RecipeError, match="the storage's study study is not catzoo's"):
        trials.settings({})
    assert theirs.user_attrs == {}


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


@pytest.mark.parametrize("defaults", [DEFAULTS, None])
def test_what_takes_trial_0s_place_is_the_default(defaults, tmp_path):
    trials = trials_in(tmp_path / "j", defaults=defaults)
    trials.study.tell(trials.next(3).number, state=optuna.trial.TrialState.FAIL)  # its machine died
    second, third, fourth = trials.next(3), trials.next(3), trials.next(3)
    assert second.params == (defaults or {})
    assert [is_default(trials.frozen(trial)) for trial in (second, third, fourth)] == [True, False, False]
    assert len(third.params) == len(fourth.params) == 3
    trials.end(second, 1.0)
    assert [is_default(trial) for trial in trials.finished()] == [True]
    assert trials.next(3) is None


def test_of_two_machines_that_begin_a_study_at_once_one_is_refused(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    ours, theirs = trials_in(url), trials_in(url, place="there")

    def meanwhile(_):
        theirs.study.set_user_attr("settings", {"objective": "auc"})

    monkeypatch.setattr("catzoo.hparams.tuning.optuna_study.time.sleep", meanwhile)
    assert ours.settings({"objective": "final"}) == {"objective": "auc"}
    assert theirs.settings({"objective": "auc"}) == {"objective": "auc"}


def test_machines_that_choose_at_once_take_different_points_of_a_grid(tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    ours, theirs = trials_in(url, sampler="grid"), trials_in(url, sampler="grid", place="there")
    ours.end(ours.next(20), 1.0)
    asked = ours.study.ask()
    other = theirs.next(20)
    mine = ours._suggested(asked)
    assert mine.params
    assert mine.params != other.params
    third = theirs.next(20)
    assert third.params not in (mine.params, other.params)


def test_the_default_is_never_ended_early(tmp_path):
    trials = trials_in(tmp_path / "journal", pruner="wilcoxon")
    default, best, other = (trials.next(3) for _ in range(3))
    for step in range(3):
        trials.report(best, 10.0 + step, step)
    trials.end(best, 11.0)
    assert [trials.report(default, 1.0, step) for step in range(3)] == [False] * 3
    assert [trials.report(other, 1.0, step) for step in range(2)] == [False, True]


def test_a_trial_that_was_ended_early_is_never_the_best(tmp_path):
    trials = trials_in(tmp_path / "journal", pruner="wilcoxon")
    first, second = trials.next(2), trials.next(2)
    trials.end(first, 0.5)
    trials.prune(second, 0.85)
    assert trials.study.best_trial.number == best_of(trials.all()).number == 0
    assert 0.49 < trials.all()[1].value < 0.5


def test_trials_of_other_machines_are_waited_for_where_signs_of_life_are_given(tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    ours, theirs = trials_in(url), trials_in(url, place="there")
    other, mine = theirs.next(2), ours.next(2)
    assert [trial.number for trial in ours.at_work_elsewhere()] == [other.number]
    theirs.end(other, 1.0)
    assert ours.at_work_elsewhere() == []
    assert [trial.number for trial in theirs.at_work_elsewhere()] == [mine.number]
    alone = trials_in(tmp_path / "j")
    alone.next(2)
    assert alone.at_work_elsewhere() == []


def test_a_machine_that_comes_back_late_goes_on_with_its_own(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    first = trials_in(url).next(1)
    later = trials_in(url)
    quick_to_give_up(later, monkeypatch)
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
    "make", [lambda: SeededSampler("tpee", SPACE, None, 0), lambda: make_pruner("wilcox", 3, 9)]
)
def test_unknown_names_have_a_nearest_one(make):
    with pytest.raises(RecipeError, match="did you mean"):
        make()
