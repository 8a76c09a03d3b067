"""Studies without training: trials that are worth a formula."""

from catzoo.hparams.tuning.optuna_study import Trials
from catzoo.hparams.tuning.samplers import SeededSampler, make_pruner
from catzoo.hparams.tuning.space import Parameter, Space
from catzoo.hparams.tuning.storage import open_storage

SPACE = Space(
    (
        Parameter("optimizer.lr", "float", 1e-4, 1e-2, log=True),
        Parameter("value_loss.num_bins", "int", 21, 201),
        Parameter("double", "choice", choices=(True, False)),
    )
)
DEFAULTS = {"optimizer.lr": 1e-3, "value_loss.num_bins": 51, "double": True}


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


def quick_to_give_up(trials, monkeypatch):
    backend = getattr(trials.storage, "_backend", trials.storage)
    monkeypatch.setattr(backend, "grace_period", 1)
    monkeypatch.setattr(backend, "heartbeat_interval", 1)


def summary(trials):
    return [(trial.number, trial.params, trial.value, trial.state.name) for trial in trials.all()]
