"""What follows from the formulas of MSE, Two-Hot and HL-Gauss, in closed form and by simulation.

| quantity | of | x |
|---|---|---|
| `gradient-bound` | the largest norm of the gradient over random logits and targets | spread of the logits |
| `gradient-norm` | the gradient of a prediction that is off, and sure of itself | error / bin width |
| `gradient-scale` | the same, off by two bins, when all values are x times as large | scale |
| `gradient-variance` | the gradient's total variance under noise of the target | noise / bin width |
| `inside-bias` | the largest bias of HL-Gauss's decoded label, far from the ends | sigma / bin width |
| `edge-bias` | the bias of the decoded label near the upper end | distance from it / sigma |
| `floor` | the least value of the loss, the label's entropy | sigma / bin width |

Gradients are those with respect to the network's outputs. Simulations call the losses that agents train with,
in float64, through autograd.

Shapes: N samples, F places in a bin, K outputs per value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from catzoo.hparams import RecipeError, loss_title
from catzoo.zoo.statistics.intervals import contrast_interval
from catzoo.zoo.studies.claims import closed_forms as forms
from catzoo.zoo.studies.study import Finding, Row, Study, Task, values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Generator, Tensor

    from catzoo.losses import ValueLoss
    from catzoo.zoo.pictures.style import Look

Formula = Callable[[str, float], float]
Simulation = Callable[[str, float, int, "Generator"], float]

LOSSES = ("mse", "two_hot", "hl_gauss")
CROSS_ENTROPIES = ("two_hot", "hl_gauss")
BINS = 51
"""All of width 1, so that values are in bin widths; the ends are far from where the targets are."""
END = BINS / 2
SCALED_ERROR = 2.0
"""Bin widths by which the prediction is off in `gradient-scale`."""
PLACES = 16
"""Places in a bin at which the gradient's variance is taken."""
PARTS = 2_000
"""Places in a bin for what has no noise."""
TINY = 1.0e-9
"""Added to what a difference is relative to: the rounding errors of float64 are no disagreement."""
AGREEMENT = 0.01
"""The largest relative difference that simulation by so few samples makes by chance."""
ATTAINED = 1.0e-3
"""How near the largest gradient comes to its bound, which it must not exceed."""
RESOLUTION = 1.0e-17
"""Where a picture on a logarithmic scale ends at the latest."""
PANEL = (400, 300)
"""Width and height of one panel, with its words."""


@dataclass(frozen=True)
class TheorySettings:
    """How much is done.

    Args:
        seeds: simulations of each number.
        samples: targets in one of them.
    """

    seeds: int = 30
    samples: int = 20_000


@dataclass(frozen=True)
class Quantity:
    """A number that both a formula and a simulation give, of some losses, against x."""

    title: str
    xlabel: str
    x: tuple[float, ...]
    losses: tuple[str, ...]
    formula: Formula
    simulation: Simulation
    scales: tuple[str, str] = ("linear", "linear")


class Theory(Study):
    """Closed forms against simulation, and what they say of the losses."""

    name: ClassVar[str] = "theory"
    source: ClassVar[str] = "arXiv 2403.03950, sections 2 and 3, and what follows from them"
    protocol: ClassVar[str] = (
        "Closed forms of the gradient's norm and variance with respect to the outputs, of the decoding bias "
        "and of the loss's floor, against simulation in float64 with the zoo's own losses; 51 bins of width "
        "1 with edges on [-25.5, 25.5], sigma 0.75 where it is not varied. The paper prints no such numbers."
    )
    budgets: ClassVar[Mapping[str, TheorySettings]] = {
        "tiny": TheorySettings(seeds=5),
        "small": TheorySettings(seeds=10),
        "full": TheorySettings(),
    }
    settings: TheorySettings

    def check(self) -> None:
        """Enough samples for a variance at every place."""
        if self.settings.samples < 2 * PLACES:
            raise RecipeError(f"samples={self.settings.samples}: must be at least {2 * PLACES}")

    def tasks(self) -> list[Task]:
        """One per quantity."""
        return [Task({"quantity": name}) for name in QUANTITIES]

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """One row per loss, x and seed: `closed_form` and `simulated`."""
        import torch

        quantity = QUANTITIES[str(task.labels["quantity"])]
        rows: list[Row] = []
        for loss in quantity.losses:
            for x in quantity.x:
                closed_form = quantity.formula(loss, x)
                for seed in self.seeds:
                    random = torch.Generator().manual_seed(seed)
                    simulated = quantity.simulation(loss, x, self.settings.samples, random)
                    rows.append(
                        {
                            "loss": loss,
                            "x": x,
                            "seed": seed,
                            "closed_form": closed_form,
                            "simulated": simulated,
                        }
                    )
        return rows

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """What the simulations say of each loss, and whether the closed forms say the same."""
        bounds = [values(rows, "simulated", quantity="gradient-bound", seed=seed) for seed in self.seeds]
        largest = [max(norms) - forms.LARGEST for norms in bounds if norms]
        norm, variance = (
            [values(rows, "simulated", quantity=name, loss=loss, x=x) for loss in ("mse", "hl_gauss")]
            for name, x in (("gradient-norm", 16.0), ("gradient-variance", 4.0))
        )
        edge, floor = (
            values(rows, "simulated", quantity=name, loss="hl_gauss", x=x)
            for name, x in (("edge-bias", 0.0), ("floor", forms.PAPER_RATIO))
        )
        asked = [
            ("largest gradient norm of a cross-entropy, minus its bound sqrt(2)", [largest], ATTAINED),
            ("gradient norm at an error of 16 bins, MSE minus HL-Gauss", norm, None),
            ("variance of the gradient under noise of 4 bins, MSE minus HL-Gauss", variance, None),
            ("bins by which HL-Gauss decodes v_max too low", [[-bias for bias in edge]], None),
            ("floor of HL-Gauss in nats, sigma / bin width 0.75", [floor], None),
        ]
        said = [
            Finding(claim, *contrast_interval(groups, (1.0, -1.0)[: len(groups)]), margin=margin)
            for claim, groups, margin in asked
            if all(groups)
        ]
        return said + [self._agreement(rows, name) for name in AGREEING if values(rows, "x", quantity=name)]

    def _agreement(self, rows: Sequence[Row], name: str) -> Finding:
        """That a quantity's simulations give what its closed form does, wherever they differ most."""
        own = [row for row in rows if row["quantity"] == name]
        largest = [
            max(
                abs(float(row["simulated"]) - float(row["closed_form"]))
                / (abs(float(row["closed_form"])) + TINY)
                for row in own
                if row["seed"] == seed
            )
            for seed in dict.fromkeys(row["seed"] for row in own)
        ]
        claim = f"{name}: the simulation's largest relative difference from the closed form"
        return Finding(claim, *contrast_interval([largest], (1.0,)), margin=AGREEMENT)

    def draw(self, rows: Sequence[Row]) -> Figure:
        """A panel per quantity: closed forms as lines, simulations as dots."""
        from catzoo.zoo.pictures import style

        width, height = PANEL
        figure = style.new_figure(3 * width, 2 * height + 40)
        left, top = 18 / (3 * width), 1 - 24 / (2 * height + 40)
        figure.text(left, top, "Closed forms (lines) and simulations (dots)", weight="bold", size=13)
        looks = style.looks(loss_title(loss) for loss in LOSSES)
        for index, name in enumerate(AGREEING):
            left, top = width * (index % 3) + 64, height * (index // 3) + 72
            axes = style.place(figure, left, top, width - 88, height - 104)
            own = [row for row in rows if row["quantity"] == name]
            if own:
                draw_quantity(axes, QUANTITIES[name], own, looks)
            if name == AGREEING[0] and own:
                axes.legend(loc="best")
        return figure


def draw_quantity(axes: Axes, quantity: Quantity, rows: Sequence[Row], looks: Mapping[str, Look]) -> None:
    """One panel."""

    for loss in quantity.losses:
        title = loss_title(loss)
        colour, dashes = looks[title]
        lines = [values(rows, "closed_form", loss=loss, x=x)[0] for x in quantity.x]
        simulated = [values(rows, "simulated", loss=loss, x=x) for x in quantity.x]
        axes.plot(quantity.x, lines, color=colour, linestyle=dashes, label=title)
        dots = [math.fsum(numbers) / len(numbers) for numbers in simulated]
        axes.plot(quantity.x, dots, "o", color=colour, markersize=5)
    axes.set_title(quantity.title)
    axes.set_xlabel(quantity.xlabel)
    axes.set_xscale(quantity.scales[0])
    axes.set_yscale(quantity.scales[1])
    axes.set_xticks(quantity.x, [f"{x:g}" for x in quantity.x])
    axes.minorticks_off()
    if quantity.scales[1] == "log":  # what is less than float64 resolves is no news
        axes.set_ylim(bottom=max(axes.get_ylim()[0], RESOLUTION))
    axes.grid(axis="y")


def make_loss(name: str, *, scale: float = 1.0, ratio: float = forms.PAPER_RATIO) -> ValueLoss:
    """A loss with bins of width `scale`."""
    from catzoo.losses import make_value_loss

    if name == "mse":
        return make_value_loss(name)
    arguments = {"sigma_ratio": ratio} if name == "hl_gauss" else {}
    ends = {"v_min": -END * scale, "v_max": END * scale, "num_bins": BINS, "align": "edges"}
    return make_value_loss(name, **ends, **arguments)


def sure_of(loss: ValueLoss, value: Tensor) -> Tensor:
    """Outputs [..., K] that predict a value [...]: itself, or the logits of its label."""
    from catzoo.losses import CategoricalLoss

    if not isinstance(loss, CategoricalLoss):
        return value[..., None]
    return loss.encode(value).clamp(min=1e-300).log()


def gradients(loss: ValueLoss, outputs: Tensor, target: Tensor) -> Tensor:
    """The gradient [..., K] of each sample's loss."""
    import torch

    outputs = outputs.clone().requires_grad_()
    return torch.autograd.grad(loss(outputs, target).sum(), outputs)[0]


def places(count: int, random: Generator) -> Tensor:
    """Places [N] in a bin, in [-0.5, 0.5): one at random in each of N equal parts."""
    import torch

    parts = torch.arange(count, dtype=torch.float64)
    return (parts + torch.rand(count, generator=random, dtype=torch.float64)) / count - 0.5


def largest_gradient(name: str, spread: float, samples: int, random: Generator) -> float:
    """The largest norm for normal logits and targets anywhere on the support."""
    import torch

    loss = make_loss(name)
    outputs_NK = spread * torch.randn(samples, loss.num_outputs, generator=random, dtype=torch.float64)
    return float(gradients(loss, outputs_NK, BINS * places(samples, random)).norm(dim=-1).max())


def norm_off_by(name: str, error: float, samples: int, random: Generator, scale: float = 1.0) -> float:
    """Root mean square norm for predictions that are off by so many bins."""
    loss = make_loss(name, scale=scale)
    value_N = places(PARTS, random) - round(error / 2)
    outputs_NK = sure_of(loss, scale * value_N)
    gradient_NK = gradients(loss, outputs_NK, scale * (value_N + error))
    return float(gradient_NK.square().sum(dim=-1).mean().sqrt())


def norm_at_scale(name: str, scale: float, samples: int, random: Generator) -> float:
    """`norm_off_by` with all values so many times as large."""
    return norm_off_by(name, SCALED_ERROR, samples, random, scale)


def variance_under_noise(name: str, noise: float, samples: int, random: Generator) -> float:
    """The gradient's total variance, averaged over places in the bin."""
    import torch

    loss = make_loss(name)
    value_F1 = places(PLACES, random)[:, None]
    parts_FN = torch.stack([places(samples // PLACES, random) for _ in range(PLACES)])
    noise_FN = noise * torch.special.ndtri(parts_FN + 0.5)
    outputs_FNK = sure_of(loss, value_F1.expand_as(noise_FN))
    gradient_FNK = gradients(loss, outputs_FNK, value_F1 + noise_FN)
    return float(gradient_FNK.var(dim=1).sum(dim=-1).mean())


def largest_bias(name: str, ratio: float, samples: int, random: Generator) -> float:
    """The largest distance of a decoded label from its target."""
    loss = make_loss(name, ratio=ratio)
    target_N = places(PARTS, random)
    return float((loss.decode(sure_of(loss, target_N)) - target_N).abs().max())


def bias_near_the_end(name: str, sigmas: float, samples: int, random: Generator) -> float:
    """The decoded label minus its target, so many sigma below v_max; nothing in it is random."""
    import torch

    loss = make_loss(name)
    target_N = torch.tensor([END - sigmas * forms.PAPER_RATIO], dtype=torch.float64)
    return float(loss.decode(sure_of(loss, target_N)) - target_N)


def loss_of_a_perfect_fit(name: str, ratio: float, samples: int, random: Generator) -> float:
    """The mean loss of outputs that predict the label itself."""
    loss = make_loss(name, ratio=ratio)
    target_N = places(PARTS, random)
    return float(loss(sure_of(loss, target_N), target_N).mean())


RATIOS = (0.25, 0.5, 0.75, 1.0, 2.0)
QUANTITIES = {
    "gradient-bound": Quantity(
        "Largest gradient", "spread of the logits", (1.0, 10.0, 100.0), CROSS_ENTROPIES,
        lambda loss, x: forms.LARGEST, largest_gradient, ("log", "linear"),
    ),
    "gradient-norm": Quantity(
        "Gradient norm", "error / bin width", (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0), LOSSES,
        forms.gradient_norm, norm_off_by, ("log", "log"),
    ),
    "gradient-scale": Quantity(
        "Gradient norm, off by two bins", "scale of all values", (1.0, 10.0, 100.0), LOSSES,
        lambda loss, x: forms.gradient_norm(loss, SCALED_ERROR) * (x if loss == "mse" else 1.0),
        norm_at_scale, ("log", "log"),
    ),
    "gradient-variance": Quantity(
        "Gradient variance", "noise of the target / bin width", (0.25, 0.5, 1.0, 2.0, 4.0), LOSSES,
        forms.gradient_variance, variance_under_noise, ("log", "log"),
    ),
    "inside-bias": Quantity(
        "Decoding bias inside, in bins", "sigma / bin width", RATIOS, ("hl_gauss",),
        lambda loss, x: forms.inside_bias(x), largest_bias, ("linear", "log"),
    ),
    "edge-bias": Quantity(
        "Decoding bias at the end, in bins", "distance from v_max / sigma", (0.0, 0.5, 1.0, 2.0, 3.0),
        LOSSES, lambda loss, x: forms.edge_bias(loss, x * forms.PAPER_RATIO), bias_near_the_end,
    ),
    "floor": Quantity(
        "Least loss, in nats", "sigma / bin width", RATIOS, CROSS_ENTROPIES,
        forms.floor, loss_of_a_perfect_fit,
    ),
}  # fmt: skip
"""By name, in the order of the table."""
AGREEING = tuple(name for name in QUANTITIES if name != "gradient-bound")
"""Those of which the closed form is a value and not a bound."""

STUDY = Theory
