"""Whether a language agent learns Wordle better by classification, from games of mixed quality.

The paper's experiment (arXiv 2403.03950, section 4.3): DQN with CQL's term over tokens, at three weights of
that term. One weight is not one strength for all losses (`agents/cql.py`): HL-Gauss is held back by half of
what MSE is, as its sigma is 0.5. So the question is asked at equal strengths, and of each loss at the weight
or strength that is best for it on the *other* seeds; equal weights stand aside. Cloning the data, by sampling
from what it does, is what any of them has to beat. MSE at a weight is MSE at half of that as a strength, and
is trained once.

Expected beforehand: at the paper's weights MSE ahead; at one strength neither ahead. Both above the data and
above cloning. HL-Gauss begins slower: curves are shown.

Nothing is decided between losses while a curve rises. All seeds learn from the same games, and intervals over
seeds speak of these.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from catzoo.hparams import RecipeError, loss_title
from catzoo.zoo.studies.measured_training import measured_training
from catzoo.zoo.studies.study import Cell, Finding, Row, Study, Task
from catzoo.zoo.studies.training_tasks import ON_ONE_THREAD, compare, known, rising
from catzoo.zoo.training.train import recipe_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from catzoo.agents import AtWork

CLONING = "cloning"
"""In the place of a loss: the data's letters are learned, and sampled from."""
PASSES = 5
"""Over all answers, of a clone."""


@dataclass(frozen=True)
class Settings:
    """What a budget buys."""

    seeds: int
    env: str = "wordle/200"
    games: int = 30_000
    quality: float = 0.25
    losses: tuple[str, ...] = ("hl_gauss", "mse")
    weights: tuple[float, ...] = (0.1, 0.3, 1.0)
    """The paper's alphas."""
    strengths: tuple[float, ...] = (0.05, 0.15, 0.5)
    """MSE's at these."""
    steps: int = 6_000
    points: int = 6
    """Evaluations, evenly over training."""


class Wordle(Study):
    """Answers found, by loss and by what holds back the values."""

    name = "wordle"
    agent = "wordle"
    source = "arXiv 2403.03950, section 4.3"
    version = 3  # 2: a clone plays five times; 3: HL-Gauss's label is wider
    protocol = (
        "A transformer of 64 numbers and 2 layers instead of GPT-2's 125M parameters; the real game's "
        "colours; every word is the answer once, and the best letter is always chosen. Of weights and "
        "strengths HL-Gauss has twice as many to be best at as MSE, for which these are one. HL-Gauss's "
        "sigma, 0.5, was chosen on wordle/40, seeds 0 and 1."
    )
    budgets: ClassVar = {
        "tiny": Settings(seeds=1, env="wordle/40", games=200, weights=(0.3,), strengths=(), steps=2,
                         points=1),
        "small": Settings(seeds=2, env="wordle/40", weights=(0.3,), strengths=(0.15,), steps=2_000,
                          points=4),
        "full": Settings(seeds=5),
    }  # fmt: skip
    optional = ("weights", "strengths")
    settings: Settings

    def check(self) -> None:
        """A weight or a strength, none below 0; data that can be made."""
        settings = self.settings
        if not settings.weights + settings.strengths:
            raise RecipeError("weights=[] strengths=[]: at least one is needed")
        if any(not 0 <= value < math.inf for _, value in self.held):
            raise RecipeError(
                f"weights={list(settings.weights)} strengths={list(settings.strengths)}: 0 or more each"
            )
        if not 0 <= settings.quality <= 1:
            raise RecipeError(f"quality={settings.quality}: a share, from 0 to 1")

    @property
    def held(self) -> list[tuple[str, float]]:
        """What holds values back, in the order in which it is tried."""
        settings = self.settings
        weights = [("weight", value) for value in settings.weights]
        return weights + [("strength", value) for value in settings.strengths]

    def labels(self, loss: str, kind: str, value: float) -> dict[str, Cell]:
        """Of the arm that has this: MSE's at a strength is that at twice the weight, if there is one."""
        twice = [weight for weight in self.settings.weights if math.isclose(weight, 2 * value)]
        if loss == "mse" and kind == "strength" and twice:
            return {"loss": loss, "weight": twice[0]}
        return {"loss": loss, kind: value}

    def arms(self, loss: str) -> list[dict[str, Cell]]:
        """The labels of a loss's arms, each once."""
        arms: list[dict[str, Cell]] = []
        for kind, value in self.held:
            if (labels := self.labels(loss, kind, value)) not in arms:
                arms.append(labels)
        return arms

    def tasks(self) -> list[Task]:
        """Data first, the same for all; then seeds outermost."""
        arms = [labels for loss in self.settings.losses for labels in self.arms(loss)]
        arms.append({"loss": CLONING})
        learning = [Task({**arm, "seed": seed}, stage=1) for seed in self.seeds for arm in arms]
        return [Task({"loss": "data", "seed": 0}), *learning]

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """Plays the games, or learns from them; a row for each evaluation."""
        from catzoo.zoo.datasets.wordle_games import make_wordle_games
        from catzoo.zoo.training.named_metrics import named_metrics

        settings, labels = self.settings, task.labels
        data = (tasks / self.tasks()[0].name / "dataset").absolute()
        if labels["loss"] == "data":
            made = make_wordle_games(settings.env, data, games=settings.games, quality=settings.quality)
            return [{"success": made["success"], "guesses": made["mean_guesses"]}]
        cloning = labels["loss"] == CLONING
        held = {f"cql_{key}": labels[key] for key in ("weight", "strength") if key in labels}
        recipe = recipe_of(
            "wordle",
            settings.env,
            loss="mse" if cloning else str(labels["loss"]),
            steps=settings.steps,
            seed=int(labels["seed"]),
            overrides=[ON_ONE_THREAD, {"dataset": str(data), **held}],
        )
        if cloning:
            return cloned(recipe)

        def measure(step: int, work: AtWork) -> list[Row]:
            return [named_metrics(work.agent, recipe)]

        return measured_training(recipe, settings.points, measure, tasks / task.name)

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """HL-Gauss above MSE, each at its best and at equal strengths. Aside: at equal weights; each above
        data and cloning.
        """
        data = [float(row["success"]) for row in rows if row["loss"] == "data"]
        clones = [row for row in rows if row["loss"] == CLONING]
        arms = {loss: self.arms(loss) for loss in self.settings.losses}
        waits = rising(rows, "success", [arm for own in arms.values() for arm in own])
        rows = [row for row in rows if row.get("step") == self.settings.steps]
        best = [row for loss in self.settings.losses for row in at_best(rows, arms[loss])]
        pair = [(1.0, {"loss": "hl_gauss"}), (-1.0, {"loss": "mse"})]
        found = [compare("each at its best: HL-Gauss above MSE", best, "success", pair, over=None,
                         waits=waits)]  # fmt: skip
        for kind, value in sorted(self.held):  # strengths first
            sides = [(sign, self.labels(str(arm["loss"]), kind, value)) for sign, arm in pair]
            words = f"{kind} {value:g}: HL-Gauss above MSE"
            aside = kind == "weight"
            found.append(compare(words, rows, "success", sides, over=None, waits=waits, aside=aside))
        for loss in self.settings.losses:
            side, title = (1.0, {"loss": loss}), f"{loss_title(loss)} at its best"
            gained = [{**row, "gain": float(row["success"]) - data[0]} for row in best if data]
            found += [
                compare(f"{title}: above the data", gained, "gain", [side], over=None, aside=True),
                compare(f"{title}: above cloning", [*best, *clones], "success",
                        [side, (-1.0, {"loss": CLONING})], over=None, aside=True),
            ]  # fmt: skip
        return known(found)

    def draw(self, rows: Sequence[Row]) -> Figure:
        """Answers found through training, a line for each loss, a panel for each weight and strength."""
        from catzoo.zoo.studies.study_pictures import lines

        shown = [
            {**row, "held": f"{kind} {value:g}"}
            for kind, value in self.held
            for loss in self.settings.losses
            for row in rows
            if self.labels(loss, kind, value).items() <= row.items()
        ]
        steps = sorted({float(row["step"]) for row in shown})
        level = [row for row in rows if row["loss"] in ("data", CLONING)]  # they have no steps
        shown += [
            {**row, "step": step, "held": held}
            for held in dict.fromkeys(row["held"] for row in shown)
            for step in (steps[0], steps[-1])
            for row in level
        ]
        return lines(shown, "step", "success", by="loss", panels="held", xlabel="gradient updates",
                     title=f"{self.settings.env}: answers found", ylabel="share", share=True)  # fmt: skip


def at_best(rows: Sequence[Row], arms: Sequence[Mapping[str, Cell]]) -> list[Row]:
    """Of each seed the row of the arm whose mean over the other seeds is highest; none of one seed alone."""
    of_arms = [[row for row in rows if arm.items() <= row.items()] for arm in arms]
    found: list[Row] = []
    for seed in dict.fromkeys(row["seed"] for own in of_arms for row in own):
        others = [[float(row["success"]) for row in own if row["seed"] != seed] for own in of_arms]
        tried = [index for index, successes in enumerate(others) if successes]
        if tried:
            arm = max(tried, key=lambda index: sum(others[index]) / len(others[index]))
            found += [row for row in of_arms[arm] if row["seed"] == seed]
    return found


def cloned(recipe: Any) -> list[Row]:
    """Answers found by an agent that samples letters as the data has them; as many updates as the others.

    The mean of `PASSES` over all answers: one game a word is a coarse sample.
    """
    import torch
    import torch.nn.functional as F

    from catzoo.zoo.training.build import build_trainer
    from catzoo.zoo.training.wordle_metrics import metrics

    with contextlib.closing(build_trainer(recipe)) as work:
        agent, network = work.agent, work.agent.network
        optimizer = torch.optim.Adam(network.parameters(), lr=recipe.optimizer.lr)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, recipe.steps)
        for _ in range(recipe.steps):
            batch = work.feed.replay.sample(recipe.batch_size)[0].at(0)
            live = batch.action >= 0
            allowed = network.allowed_choices(batch.action)
            logits = network.choices(batch.tokens)[..., 0].masked_fill(~allowed, -torch.inf)
            loss = F.cross_entropy(logits[live], batch.action[live].long())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        random = torch.Generator().manual_seed(recipe.seed)

        def act(observation: torch.Tensor) -> torch.Tensor:
            logits = network(observation)[..., 0].masked_fill(~network.allowed(observation), -torch.inf)
            return torch.multinomial(logits.softmax(-1), 1, generator=random)[:, 0]

        agent.act = act
        with torch.no_grad():
            passes = [metrics(agent, recipe) for _ in range(PASSES)]
        return [{name: sum(each[name] for each in passes) / PASSES for name in passes[0]}]


STUDY = Wordle
