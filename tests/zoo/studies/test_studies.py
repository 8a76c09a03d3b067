"""The studies that train: each of them in its tiny budget, and what their rows are made to say."""

import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from catzoo.hparams import RECIPES, RecipeError
from catzoo.hparams.overrides import merge
from catzoo.zoo.environments.uci_engine import DEBIAN
from catzoo.zoo.folders.run_recipe import flat
from catzoo.zoo.studies.claim_names import STUDIES
from catzoo.zoo.studies.claims import lead_causes
from catzoo.zoo.studies.claims.sigma_bins import better_coordinate
from catzoo.zoo.studies.reproduce import make_study, reproduce
from catzoo.zoo.studies.study import Task, find_study
from catzoo.zoo.studies.study_pictures import lines
from catzoo.zoo.studies.training_tasks import RATE, compare, matched, trend
from catzoo.zoo.studies.value_errors import churn, returns_to_go
from catzoo.zoo.training.train import recipe_of

pytestmark = pytest.mark.early
TRAINING = [name for name in STUDIES if name not in ("plasticity", "theory")]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.robots] * (name == "robots")) for name in TRAINING]
)
def test_every_study_runs_end_to_end(name, tmp_path):
    if name == "chess":
        pytest.importorskip("chess")
        if not (shutil.which("stockfish") or Path(DEBIAN).is_file()):
            pytest.skip("no Stockfish here")
    if name == "robots":
        pytest.importorskip("gymnasium_robotics")
    said = reproduce(name, budget="tiny", out=tmp_path / name, progress=None)
    assert said["failed"] == {}
    assert said["missing"] == 0
    assert said["findings"], "the rows must be enough for the main statement"
    assert all(math.isfinite(finding["value"]) for finding in said["findings"])
    assert (tmp_path / name / "picture.png").stat().st_size > 5_000


@pytest.mark.parametrize("name", TRAINING)
def test_names_of_tasks_are_unique_and_budgets_alike(name):
    kind = find_study(name)
    assert set(kind.budgets) == {"tiny", "small", "full"}
    for settings in kind.budgets.values():
        names = [task.name for task in kind(settings).tasks()]
        assert len(set(names)) == len(names)
    assert kind.budgets["full"].seeds >= 5


@pytest.mark.parametrize("name", TRAINING)
def test_every_study_that_trains_says_what(name):
    assert find_study(name).agent in RECIPES


def test_a_picture_of_nothing_is_empty():
    figure = lines([], "step", "success", by="loss", panels="held", title="", xlabel="")
    assert len(figure.axes) == 1
    assert not figure.axes[0].lines


def test_a_task_is_named_by_its_labels():
    assert Task({"env": "MinAtar/Breakout", "eta": 0.1, "seed": 3}).name == "MinAtar-Breakout-eta0.1-s3"


def test_trend_is_the_slope_of_the_least_squares_line():
    x, y = [0.0, 0.1, 0.25], [1.0, 3.0, 2.0]
    slope = sum(weight * value for weight, value in zip(trend(x), y, strict=True))
    assert slope == pytest.approx(np.polyfit(x, y, 1)[0])


def test_compare_averages_over_environments():
    rows = [
        {"env": env, "loss": loss, "final": base + gain + noise}
        for env, base, gain in (("a", 0, 1), ("b", 10, 3))
        for loss, gain in (("hl", gain), ("mse", 0))
        for noise in (-0.1, 0.1)
    ]
    finding = compare("", rows, "final", ((1.0, {"loss": "hl"}), (-1.0, {"loss": "mse"})))
    assert finding.value == pytest.approx(2.0)
    assert finding.outcome == "reproduced"
    assert compare("", rows, "final", ((1.0, {"loss": "hl"}), (-1.0, {"loss": "c51"}))) is None


@pytest.mark.parametrize(("absolute", "sign"), [(True, 1), (False, -1)])
def test_the_better_coordinate_is_found(absolute, sign):
    cells = [(bins, ratio) for bins in (21, 51, 101, 201) for ratio in (0.25, 0.5, 0.75, 1.0, 2.0)]
    random = np.random.default_rng(0)

    def score(bins, ratio):
        place = math.log(ratio * 30 / bins) if absolute else math.log(ratio)
        return -((place + 0.5) ** 2)

    scores = [[score(*cell) + random.normal(0, 0.05) for _ in range(5)] for cell in cells]
    finding = better_coordinate(cells, scores, 30.0)
    assert sign * finding.value > 0
    assert finding.outcome == ("reproduced" if absolute else "not reproduced")


@pytest.mark.parametrize("level", [-200.0, 0.0, 1.0, 0.1])
def test_a_grid_that_is_level_decides_nothing(level):
    cells = [(bins, ratio) for bins in (21, 101) for ratio in (0.25, 0.75, 2.0)]
    finding = better_coordinate(cells, [[level] * 2 for _ in cells], 30.0)
    assert (finding.value, finding.outcome) == (0.0, "not decided")


def test_returns_to_go():
    reward = np.array([[1.0], [2.0], [4.0], [8.0]])
    done = np.array([[False], [True], [False], [False]])
    outcome, whole = returns_to_go(reward, done, 0.5)
    assert outcome[:, 0].tolist() == [2.0, 2.0, 8.0, 8.0]
    assert whole[:, 0].tolist() == [True, True, False, False]


def test_a_state_counts_once_what_is_missing_is_discounted_away():
    _, whole = returns_to_go(np.ones((10, 1)), np.zeros((10, 1), dtype=bool), 0.5)
    assert whole[:, 0].tolist() == [True] * 4 + [False] * 6  # 0.5 ** 7 is below a hundredth


def test_arms_of_lead_causes_change_what_they_say():
    study = find_study("lead-causes")
    for arm in study.budgets["full"].arms:
        loss, change = lead_causes.ARMS[arm]
        recipe = recipe_of("dqn", "MinAtar/Asterix", loss=loss, overrides=[merge(matched(loss), change)])
        known = flat(merge(matched(loss), change))
        assert known.items() <= flat(recipe.to_dict()).items()
        slow, fast = "slow" in arm, "fast" in arm
        assert recipe.target_update_every == (2_000 if slow else 125 if fast else 500)
        factors = {"x 4": 4.0, "/ 16": 1 / 16, "/ 4": 1 / 4}
        factor = next((factor for words, factor in factors.items() if arm.endswith(words)), 1.0)
        assert recipe.optimizer.lr == RATE * factor
        assert recipe.normalize.reward == ("scaled" in arm)
    widths = {
        arm: (recipe["v_max"] - recipe["v_min"]) / recipe["num_bins"]
        for arm, (_, change) in lead_causes.ARMS.items()
        if "support" in arm
        for recipe in [change["value_loss"]]
    }
    assert widths["HL-Gauss, half the support"] == pytest.approx(30 / 51, rel=0.02)
    assert widths["HL-Gauss, twice the support"] == pytest.approx(30 / 51, rel=0.02)
    with pytest.raises(RecipeError, match="did you mean MSE, slow target"):
        make_study("lead-causes", "full", overrides=["arms=['MSE, slow targets']"])


def test_churn_counts_greedy_actions_that_change():
    class Work:
        """An agent whose actions are those that it is told, and a replay of three states."""

        def __init__(self, actions):
            self.actions = iter(actions)
            self.agent, self.feed = self, self
            self.replay, self.training = self, False

        def sample(self, count):
            return SimpleNamespace(at=lambda _: SimpleNamespace(observation=torch.zeros(4, 2))), None

        def iterate(self):
            self.now = next(self.actions)

        def appraise(self, states):
            return None, torch.tensor(self.now)

        def modules(self):
            return [self]

        def eval(self):
            self.training = False

    work = Work([[0, 1, 2, 3], [0, 1, 2, 0], [0, 0, 0, 0]])
    work.iterate()
    assert churn(work, 2) == pytest.approx((1 / 4 + 2 / 4) / 2)
