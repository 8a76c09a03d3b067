"""What carries HL-Gauss's lead over MSE where it has one: the gradient, the label, the support, the target.

In `ordering` and `initial-values` HL-Gauss leads on Asterix by a factor of two or more, and nowhere else. An
arm here changes one thing of both losses or of one, and leaves the rest.

Expected beforehand, of four experiments:

1. Gradient. Cross-entropy's is bounded, MSE's is as large as its error. If that is the cause, MSE gains by
   Huber's bound (delta 0.1), by another rate, or by scaled returns. Expected: Huber takes a part of the lead,
   rates and scale do not.
2. Label. If smoothing is the cause, the lead falls with sigma: at 0.1 bin widths the label is a hard one.
   Expected: HL-Gauss falls from 0.75 bin widths to 0.1 by a third, and is flat from 0.75 to 2.
3. Support. Bins of one width, over twice and half the range. Expected: nothing.
4. Target. A copy every 125 or 2,000 updates instead of 500. If MSE follows moving targets worse, it gains by
   slow ones. Expected: it does, by less than half of the lead.

The verdict is on the claim: the lead outlives every change of gradient, support and target, and falls without
smooth labels. That the support makes no difference is asked for within half of the lead. What else the arms
say, such as how much of the lead a change takes, stands aside.

Five arms were added when two seeds of the others had been seen: MSE at a sixteenth of the rate, since it had
gained by a quarter; sigmas of 0.4 and 1.2, since 0.75 had been far above both 0.1 and 2; and both losses with
an epsilon of Adam that is no part of its steps. The recipe's, 3e-4, is Atari's, and may be as large as MSE's
gradients are where values are small: expected to be no cause, as MSE gains by smaller steps.

A sixth was added when all seeds had been seen: a sigma of 2 at four times the rate, since a wide label asks
for the same value with a smaller push, and may be slow rather than wrong. Expected: slow, so that it has at
least half of HL-Gauss's return.

Four more were added when a reader had seen that hard labels (Two-Hot, sigma 0.1) were tried at one rate only,
so that label and rate were not told apart: each of them at a quarter and at four times the rate. Expected:
they gain by the smaller rate as MSE does, by less than 1, and stay below HL-Gauss at both. These arms and the
sixth change two things.

Churn, the share of replayed states whose greedy action another eight updates change, is measured in every
arm: expected to be larger with MSE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from catzoo.hparams.overrides import merge
from catzoo.hparams.schema import check_name
from catzoo.zoo.studies.measured_training import measured_training
from catzoo.zoo.studies.study import Finding, Row, Study, Task
from catzoo.zoo.studies.training_tasks import ON_ONE_THREAD, RATE, compare, known, matched
from catzoo.zoo.studies.value_errors import churn
from catzoo.zoo.training.train import recipe_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from catzoo.agents import AtWork


def _rate(times: float) -> dict[str, Any]:
    return {"optimizer": {"lr": RATE * times}}


def _sharp(times: float) -> dict[str, Any]:
    return {"value_loss": {"sigma_ratio": 0.1}, **_rate(times)}


def _support(low: float, high: float, bins: int) -> dict[str, Any]:
    return {"value_loss": {"v_min": low, "v_max": high, "num_bins": bins}}


ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "HL-Gauss": ("hl_gauss", {}),
    "MSE": ("mse", {}),
    "MSE, rate / 4": ("mse", _rate(0.25)),
    "MSE, rate x 4": ("mse", _rate(4.0)),
    "MSE, rate / 16": ("mse", _rate(1 / 16)),
    "HL-Gauss, rate / 4": ("hl_gauss", _rate(0.25)),
    "HL-Gauss, rate x 4": ("hl_gauss", _rate(4.0)),
    "MSE, epsilon 1e-8": ("mse", {"optimizer": {"eps": 1e-8}}),
    "HL-Gauss, epsilon 1e-8": ("hl_gauss", {"optimizer": {"eps": 1e-8}}),
    "Huber, delta 0.1": ("huber", {"value_loss": {"delta": 0.1}}),
    "MSE, scaled returns": ("mse", {"normalize": {"reward": True}}),
    "Two-Hot": ("two_hot", {}),
    "HL-Gauss, sigma 0.1": ("hl_gauss", {"value_loss": {"sigma_ratio": 0.1}}),
    "Two-Hot, rate / 4": ("two_hot", _rate(0.25)),
    "Two-Hot, rate x 4": ("two_hot", _rate(4.0)),
    "HL-Gauss, sigma 0.1, rate / 4": ("hl_gauss", _sharp(0.25)),
    "HL-Gauss, sigma 0.1, rate x 4": ("hl_gauss", _sharp(4.0)),
    "HL-Gauss, sigma 0.4": ("hl_gauss", {"value_loss": {"sigma_ratio": 0.4}}),
    "HL-Gauss, sigma 1.2": ("hl_gauss", {"value_loss": {"sigma_ratio": 1.2}}),
    "HL-Gauss, sigma 2": ("hl_gauss", {"value_loss": {"sigma_ratio": 2.0}}),
    "HL-Gauss, sigma 4": ("hl_gauss", {"value_loss": {"sigma_ratio": 4.0}}),
    "HL-Gauss, sigma 2, rate x 4": ("hl_gauss", {"value_loss": {"sigma_ratio": 2.0}, **_rate(4.0)}),
    # The zoo's is -5 to 25 in 51 bins.
    "HL-Gauss, half the support": ("hl_gauss", _support(-2.5, 12.5, 26)),
    "HL-Gauss, twice the support": ("hl_gauss", _support(-10.0, 50.0, 102)),
    "HL-Gauss, fast target": ("hl_gauss", {"target_update_every": 125}),
    "MSE, fast target": ("mse", {"target_update_every": 125}),
    "HL-Gauss, slow target": ("hl_gauss", {"target_update_every": 2_000}),
    "MSE, slow target": ("mse", {"target_update_every": 2_000}),
}
"""Every arm: its loss, and what it changes of the recipe. Sigma is in bin widths, 0.75 if it is not said."""


@dataclass(frozen=True)
class Settings:
    """What a budget buys."""

    seeds: int
    env: str = "MinAtar/Asterix"
    arms: tuple[str, ...] = tuple(ARMS)
    steps: int = 100_000
    points: int = 4
    """Evaluations, evenly over training."""
    episodes: int = 100
    """Of each evaluation."""
    iterations: int = 10
    """Over which churn is measured, after training."""


class LeadCauses(Study):
    """Returns and churn by what an arm changes."""

    name = "lead-causes"
    agent = "dqn"
    source = "arXiv 2403.03950, section 5, asks what the gain comes from, of Atari and offline"
    protocol = (
        "DQN of the zoo's MinAtar recipe, 51 bins, one learning rate unless an arm says otherwise, values "
        "that begin at zero, sticky actions 0.1; greedy returns. Churn: the share of replayed states whose "
        "greedy action changes over an iteration of training (eight updates), after the last evaluation."
    )
    budgets: ClassVar = {
        "tiny": Settings(seeds=1, arms=("HL-Gauss", "MSE"), steps=6_000, points=1, episodes=4, iterations=1),
        "small": Settings(
            seeds=2, arms=("HL-Gauss", "MSE", "HL-Gauss, sigma 0.1"), steps=30_000, episodes=20
        ),
        "full": Settings(seeds=5),
    }
    settings: Settings

    def check(self) -> None:
        """Arms are of `ARMS`."""
        for arm in self.settings.arms:
            check_name("arm", arm, ARMS)

    def tasks(self) -> list[Task]:
        """Seeds outermost."""
        return [Task({"arm": arm, "seed": seed}) for seed in self.seeds for arm in self.settings.arms]

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """Trains an agent, and evaluates it on the way."""
        from catzoo.zoo.training.evaluate import evaluate_trained

        settings, (loss, change) = self.settings, ARMS[str(task.labels["arm"])]
        recipe = recipe_of(
            "dqn",
            settings.env,
            loss=loss,
            steps=settings.steps,
            seed=int(task.labels["seed"]),
            overrides=[merge(matched(loss), change), ON_ONE_THREAD],
        )

        def measure(step: int, work: AtWork) -> list[Row]:
            scores = evaluate_trained(work.agent, recipe, settings.episodes, after=step)
            row: Row = {"return": sum(scores) / len(scores)}
            if step == recipe.steps:
                row["churn"] = churn(work, settings.iterations)
            return [row]

        return measured_training(recipe, settings.points, measure, tasks / task.name)

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """The lead, and what each experiment takes of it or adds to it."""
        rows = [row for row in rows if row["step"] == self.settings.steps]

        def gap(above: str, below: str) -> list[tuple[float, Mapping[str, str]]]:
            return [(1.0, {"arm": above}), (-1.0, {"arm": below})]

        def test(claim: str, above: str, below: str, **how: Any) -> Finding | None:
            return compare(claim, rows, "return", gap(above, below), over=None, **how)

        def lead_is_less(claim: str, change: str) -> Finding | None:
            less = [(-weight, arm) for weight, arm in gap(f"HL-Gauss, {change}", f"MSE, {change}")]
            return compare(claim, rows, "return", [*gap("HL-Gauss", "MSE"), *less], over=None, aside=True)

        lead = test("return of HL-Gauss above MSE's", "HL-Gauss", "MSE")
        half: dict[str, Any] = {"margin": abs(lead.value) / 2 if lead else 0.0}
        return known([
            lead,
            test("gradient: HL-Gauss above MSE at a quarter of the rate", "HL-Gauss", "MSE, rate / 4"),
            test("gradient: HL-Gauss above MSE at a sixteenth of the rate", "HL-Gauss", "MSE, rate / 16"),
            test("gradient: HL-Gauss above MSE at four times the rate", "HL-Gauss", "MSE, rate x 4"),
            test("gradient: HL-Gauss above MSE, epsilon 1e-8", "HL-Gauss, epsilon 1e-8", "MSE, epsilon 1e-8"),
            test("gradient: HL-Gauss above Huber with delta 0.1", "HL-Gauss", "Huber, delta 0.1"),
            test("gradient: HL-Gauss above MSE with scaled returns", "HL-Gauss", "MSE, scaled returns"),
            test("label: HL-Gauss above Two-Hot", "HL-Gauss", "Two-Hot"),
            test("label: sigma 0.75 above 0.1 bin widths", "HL-Gauss", "HL-Gauss, sigma 0.1"),
            test("support: half of it as all", "HL-Gauss, half the support", "HL-Gauss", **half),
            test("support: twice of it as all", "HL-Gauss, twice the support", "HL-Gauss", **half),
            test("target: HL-Gauss above MSE, slow targets", "HL-Gauss, slow target", "MSE, slow target"),
            test("target: HL-Gauss above MSE, fast targets", "HL-Gauss, fast target", "MSE, fast target"),
            lead_is_less("gradient: the lead is smaller with both at a quarter of the rate", "rate / 4"),
            lead_is_less("gradient: the lead is smaller with both at four times the rate", "rate x 4"),
            lead_is_less("gradient: the lead is smaller with an epsilon of 1e-8", "epsilon 1e-8"),
            test("gradient: Huber with delta 0.1 above MSE", "Huber, delta 0.1", "MSE", aside=True),
            test("gradient: MSE with scaled returns above MSE", "MSE, scaled returns", "MSE", aside=True),
            test("label: sigma 0.75 above 0.4", "HL-Gauss", "HL-Gauss, sigma 0.4", aside=True),
            test("label: sigma 0.75 above 1.2", "HL-Gauss", "HL-Gauss, sigma 1.2", aside=True),
            test("label: sigma 2 as 0.75", "HL-Gauss, sigma 2", "HL-Gauss", aside=True, **half),
            test("label: sigma 4 as 0.75", "HL-Gauss, sigma 4", "HL-Gauss", aside=True, **half),
            compare("label: sigma 2 at four times the rate has half of HL-Gauss's return", rows, "return",
                    [(1.0, {"arm": "HL-Gauss, sigma 2, rate x 4"}), (-0.5, {"arm": "HL-Gauss"})],
                    over=None, aside=True),
            *(test(f"label: HL-Gauss at its rate above {label} at {times} it", "HL-Gauss", arm + rate,
                   aside=True)
              for arm, label in (("Two-Hot", "Two-Hot"), ("HL-Gauss, sigma 0.1", "sigma 0.1"))
              for rate, times in ((", rate / 4", "a quarter of"), (", rate x 4", "four times"))),
            lead_is_less("target: the lead is smaller with slow targets", "slow target"),
            lead_is_less("target: the lead is smaller with fast targets", "fast target"),
            test("target: MSE gains by slow targets", "MSE, slow target", "MSE", aside=True),
            compare("churn of MSE above HL-Gauss's", rows, "churn", gap("MSE", "HL-Gauss"), over=None,
                    aside=True),
        ])  # fmt: skip

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Return and churn at the end, a row for each arm."""
        from catzoo.zoo.studies.study_pictures import rows_of_arms

        last = [row for row in rows if row["step"] == self.settings.steps]
        columns = {"return": "greedy return", "churn": "churn of the greedy action"}
        title = f"{self.settings.env}: what changes HL-Gauss's lead"
        return rows_of_arms(last, columns, arm="arm", title=title)


STUDY = LeadCauses
