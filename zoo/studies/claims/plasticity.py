"""Plasticity: regression on targets that keep changing (experiment 14 of arXiv 2403.03950, section 5.2.2).

    y = sin(1e5 f(x)) + b          f a new random network for each b

Each label is a number that says nothing of any other: a network can only learn them by heart, and a constant
is wrong by 1/2. The networks of all seeds are trained as one stack; what a member learns depends on its own
seed alone.

Shapes: N images, I inputs of a layer, O its outputs, S seeds, B batch, K outputs per value, P phases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from catzoo.zoo.statistics.intervals import contrast_interval
from catzoo.zoo.studies.images import find_images, load_images
from catzoo.zoo.studies.study import Finding, Row, Study, Task, values

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Generator, Tensor
    from torch.optim import Optimizer

    from catzoo.losses import ValueLoss

LOSSES = ("mse", "two_hot", "hl_gauss")
SUPPORT = {"v_min": -40.0, "v_max": 40.0, "num_bins": 101, "align": "edges"}
FREQUENCY = 1.0e5
LEARNING_RATE = 1.0e-3
CONSTANT = 0.5
"""The error of always predicting b: the mean square of a sine."""
LAST = 10
"""A phase's error is that of the batches in the last one of so many parts of its steps."""
STREAMS = ("network", "outputs", "targets", "batches")
"""What a seed draws, each from numbers of its own: losses differ in nothing but the output layer."""


@dataclass(frozen=True)
class PlasticitySettings:
    """How much is done.

    Args:
        seeds: networks per loss.
        steps: gradient steps of a phase.
        batch_size: images of a step.
        width: units in each of the two hidden layers.
        images: how many, from the data set's beginning.
        data: `digits` or `fashion-mnist`.
        offsets: b of each phase.
    """

    seeds: int = 30
    steps: int = 5_000
    batch_size: int = 256
    width: int = 128
    images: int = 1_797
    data: str = "digits"
    offsets: tuple[float, ...] = (0.0, 8.0, 16.0, 24.0, 32.0)


class Plasticity(Study):
    """The error of one network at the end of each of five regression problems.

    Raises:
        RecipeError: the data set is unknown or not installed.
    """

    name: ClassVar[str] = "plasticity"
    source: ClassVar[str] = "arXiv 2403.03950, section 5.2.2, the synthetic non-stationary regression"
    protocol: ClassVar[str] = (
        "y = sin(1e5 f(x)) + b, b in {0, 8, 16, 24, 32}, a new random network f for each; one network goes "
        "through all, Adam 1e-3, 101 bins with edges on [-40, 40]. Unlike the paper: 1,797 digits of 8x8 "
        "pixels (or Fashion-MNIST) for CIFAR-10, an MLP with two hidden layers of 128 for a CNN, batches of "
        "256 for 512, less of everything in the smaller budgets, and the same bins for Two-Hot and HL-Gauss."
    )
    budgets: ClassVar[Mapping[str, PlasticitySettings]] = {
        "tiny": PlasticitySettings(seeds=3, steps=30, batch_size=64, width=32, images=256),
        # A quarter of the images and of a batch, half the width: as many passes, about as much to learn by
        # heart. As many steps as in `full`, since Adam needs them to go from one b to the next.
        "small": PlasticitySettings(seeds=3, batch_size=64, width=64, images=450),
        "full": PlasticitySettings(),
    }
    settings: PlasticitySettings

    def __init__(self, settings: PlasticitySettings) -> None:
        super().__init__(settings)
        find_images(settings.data)

    def tasks(self) -> list[Task]:
        """One per loss, which trains the networks of all seeds."""
        return [Task({"loss": loss}) for loss in LOSSES]

    def work(self, task: Task, tasks: Path) -> list[Row]:
        """One row per seed and phase: the mean squared error of the prediction at the phase's end."""
        errors_SP = train(self.settings, make_loss(str(task.labels["loss"])), self.seeds)
        return [
            {"seed": seed, "phase": phase, "b": offset, "error": error}
            for seed, errors_P in zip(self.seeds, errors_SP, strict=True)
            for phase, (offset, error) in enumerate(zip(self.settings.offsets, errors_P, strict=True))
        ]

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """Errors in the last phase, and how much they grew since the first."""
        last = {loss: self._errors(rows, loss, -1) for loss in LOSSES}
        growth = {
            loss: [
                after - before for before, after in zip(self._errors(rows, loss, 0), last[loss], strict=True)
            ]
            for loss in LOSSES
        }
        asked = (
            ("error in the last phase, MSE minus HL-Gauss", last["mse"], last["hl_gauss"]),
            ("error in the last phase, MSE minus Two-Hot", last["mse"], last["two_hot"]),
            ("error in the last phase, Two-Hot minus HL-Gauss", last["two_hot"], last["hl_gauss"]),
            (
                "growth of the error from the first phase to the last, MSE minus HL-Gauss",
                growth["mse"],
                growth["hl_gauss"],
            ),
        )
        return [
            Finding(claim, *contrast_interval((more, less), (1, -1)))
            for claim, more, less in asked
            if more and less
        ]

    def draw(self, rows: Sequence[Row]) -> Figure:
        """The error against b, a line and the band of its interval per loss."""
        from catzoo.zoo.pictures import style
        from catzoo.zoo.studies import study_pictures

        figure = study_pictures.lines(
            rows,
            "b",
            "error",
            by="loss",
            title=f"Targets that keep changing: {self.settings.data}, {self.settings.seeds} seeds",
            xlabel="b, phase by phase",
            ylabel="squared error at the phase's end",
        )
        axes = figure.axes[0]
        axes.axhline(CONSTANT, color=style.MUTED, linestyle=(0, (2, 2)), label="always b")
        axes.set_xticks(self.settings.offsets)
        axes.set_yscale("log")
        # An interval of few seeds may reach below zero.
        axes.set_ylim(bottom=min(min(line.get_ydata()) for line in axes.lines) / 3)
        axes.legend(loc="best")
        return figure

    def _errors(self, rows: Sequence[Row], loss: str, phase: int) -> list[float]:
        """One per seed; phases count from the end too."""
        return values(rows, "error", loss=loss, phase=range(len(self.settings.offsets))[phase])


def make_loss(name: str) -> ValueLoss:
    """A loss, on the support that all of them share."""
    from catzoo.losses import make_value_loss

    return make_value_loss(name, **({} if name == "mse" else SUPPORT))


def train(settings: PlasticitySettings, loss: ValueLoss, seeds: Sequence[int]) -> list[list[float]]:
    """Takes a network per seed through all phases; returns the errors [S, P] at their ends.

    Raises:
        RecipeError: see `load_images`.
        FloatingPointError: an error is not finite.
    """
    import torch

    images_NI = inputs(settings)
    sizes = (images_NI.shape[1], settings.width, settings.width)
    members = [network(seed, sizes, loss.num_outputs) for seed in seeds]
    stack = [torch.stack(same).requires_grad_() for same in zip(*members, strict=True)]
    # Adam treats every number by itself: one for the stack is one for each member.
    optimizer = torch.optim.Adam(stack, lr=LEARNING_RATE, fused=True)
    targets = [generator(seed, "targets") for seed in seeds]
    batches = [generator(seed, "batches") for seed in seeds]
    errors_PS = []
    for offset in settings.offsets:
        labels_SN = torch.stack([labels(images_NI, sizes, offset, random) for random in targets])
        errors_PS.append(fit(settings, loss, stack, optimizer, images_NI, labels_SN, batches))
    errors_SP = torch.stack(errors_PS, dim=1)
    if not errors_SP.isfinite().all():
        raise FloatingPointError("the error is not finite")
    return errors_SP.tolist()


def fit(
    settings: PlasticitySettings,
    loss: ValueLoss,
    stack: Sequence[Tensor],
    optimizer: Optimizer,
    images_NI: Tensor,
    labels_SN: Tensor,
    batches: Sequence[Generator],
) -> Tensor:
    """Trains through one phase; returns each member's error [S] on the last part's batches."""
    import torch

    measured = max(1, settings.steps // LAST)
    errors_S = torch.zeros(len(batches), dtype=torch.float64)
    for step in range(settings.steps):
        chosen_SB = torch.stack(
            [torch.randint(len(images_NI), (settings.batch_size,), generator=random) for random in batches]
        )
        target_SB = labels_SN.gather(1, chosen_SB)
        outputs_SBK = apply(stack, images_NI[chosen_SB])
        optimizer.zero_grad()
        loss(outputs_SBK, target_SB).mean(dim=1).sum().backward()
        optimizer.step()
        if step >= settings.steps - measured:
            with torch.no_grad():
                errors_S += (loss.decode(outputs_SBK) - target_SB).square().mean(dim=1) / measured
    return errors_S


def inputs(settings: PlasticitySettings) -> Tensor:
    """The images [N, I], with a mean of 0 and a variance of 1 over all pixels."""
    import torch

    images_NHW = torch.tensor(load_images(settings.data, settings.images), dtype=torch.float32)
    return ((images_NHW - images_NHW.mean()) / images_NHW.std()).flatten(1)


def labels(images_NI: Tensor, sizes: Sequence[int], offset: float, random: Generator) -> Tensor:
    """sin(1e5 f(x)) + b [N] for a new f; in float64, since the frequency leaves float32 two digits."""
    layers = [layer.double() for layer in random_layers((*sizes, 1), random)]
    return ((FREQUENCY * apply(layers, images_NI.double())[:, 0]).sin() + offset).float()


def network(seed: int, sizes: Sequence[int], num_outputs: int) -> list[Tensor]:
    """A member's weights [I, O] and biases [1, O], layer by layer."""
    return random_layers(sizes, generator(seed, "network")) + random_layers(
        (sizes[-1], num_outputs), generator(seed, "outputs")
    )


def random_layers(sizes: Sequence[int], random: Generator) -> list[Tensor]:
    """Weights [I, O] and biases [1, O] as `torch.nn.Linear` draws them: uniform, within 1 / sqrt(I)."""
    import torch

    return [
        (2 * torch.rand(rows, outs, generator=random) - 1) * ins**-0.5
        for ins, outs in pairwise(sizes)
        for rows in (ins, 1)
    ]


def apply(layers: Sequence[Tensor], x: Tensor) -> Tensor:
    """The outputs [B, K] of a network for x [B, I]; or of a stack, with S in front of everything."""
    for index in range(0, len(layers), 2):
        x = (x if index == 0 else x.relu()) @ layers[index] + layers[index + 1]
    return x


def generator(seed: int, stream: str) -> Generator:
    """A seed's random numbers for one purpose."""
    import torch

    return torch.Generator().manual_seed(len(STREAMS) * seed + STREAMS.index(stream))


STUDY = Plasticity
