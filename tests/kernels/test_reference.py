"""The reference formulas against many-digit arithmetic and brute force."""

import itertools
import math

import mpmath
import pytest
import torch

from catzoo.kernels import reference


def exact_label(value: float, edges: list[float], sigma: float) -> list[float]:
    """The truncated Gaussian's bin masses, each tail from its own erfc, in 60 digits."""
    with mpmath.workdps(60):
        z = [(mpmath.mpf(e) - mpmath.mpf(value)) / (mpmath.mpf(sigma) * mpmath.sqrt(2)) for e in edges]
        masses = [
            mpmath.erfc(a) - mpmath.erfc(b) if a >= 0 else mpmath.erfc(-b) - mpmath.erfc(-a)
            for a, b in itertools.pairwise(z)
        ]
        total = sum(masses)
        return [float(m / total) for m in masses]


@pytest.mark.parametrize("num_bins", [2, 51, 255])
@pytest.mark.parametrize("ratio", [0.05, 0.75, 2.0])
def test_gaussian_label_inside_and_far_outside(num_bins: int, ratio: float) -> None:
    edges = torch.linspace(-10, 10, num_bins + 1, dtype=torch.float64)
    sigma = ratio * 20 / num_bins
    for value in (0.0, 0.123, 9.99, 10.0, 10 + 6 * sigma, -10 - 13 * sigma, 10 + 100 * sigma):
        label = reference.hl_gauss_label(torch.tensor(value, dtype=torch.float64), edges, sigma)
        expected = torch.tensor(exact_label(value, edges.tolist(), sigma), dtype=torch.float64)
        assert torch.allclose(label, expected, rtol=1e-9, atol=1e-13)


def test_gaussian_label_on_unequal_bins() -> None:
    edges = torch.tensor([-3.0, -1.0, -0.9, 0.0, 5.0], dtype=torch.float64)
    label = reference.hl_gauss_label(torch.tensor([-0.95], dtype=torch.float64), edges, 0.4)
    expected = torch.tensor([exact_label(-0.95, edges.tolist(), 0.4)], dtype=torch.float64)
    assert torch.allclose(label, expected, atol=1e-14)


def test_two_hot_label_by_hand() -> None:
    centers = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64)
    values = torch.tensor([-5.0, 0.0, 0.25, 1.0, 1.5, 3.0, 9.0], dtype=torch.float64)
    expected = [[1, 0, 0], [1, 0, 0], [0.75, 0.25, 0], [0, 1, 0], [0, 0.75, 0.25], [0, 0, 1], [0, 0, 1]]
    assert torch.equal(reference.two_hot_label(values, centers), torch.tensor(expected, dtype=torch.float64))


def test_c51_projection_is_brute_force() -> None:
    """Atom by atom, in the algorithm of the C51 paper, with the mass of an atom exactly on a bin kept."""
    generator = torch.Generator().manual_seed(0)
    centers = torch.linspace(-2, 2, 5, dtype=torch.float64)
    probs = torch.rand(3, 5, generator=generator, dtype=torch.float64).softmax(-1)
    atoms = torch.tensor([[-9.0, -2, -1, 0.25, 9], [-0.5, 0, 0.5, 1, 1.5], [1.0] * 5], dtype=torch.float64)
    expected = torch.zeros_like(probs)
    for row in range(3):
        for atom in range(5):
            position = (min(max(atoms[row, atom].item(), -2), 2) + 2) / 1.0
            lower, upper = math.floor(position), math.ceil(position)
            if lower == upper:
                expected[row, lower] += probs[row, atom]
            else:
                expected[row, lower] += probs[row, atom] * (upper - position)
                expected[row, upper] += probs[row, atom] * (position - lower)
    assert torch.allclose(reference.c51_projection(probs, atoms, centers), expected, atol=1e-15)


def test_printed_listing_agrees_inside_and_fails_outside() -> None:
    logits = torch.randn(3, 51, generator=torch.Generator().manual_seed(0))
    target, sigma = torch.tensor([0.3, -7.0, 40.0]), 0.3
    edges = torch.linspace(-10, 10, 52, dtype=torch.float64)
    expected = reference.cross_entropy(
        logits.double(), reference.hl_gauss_label(target.double(), edges, sigma)
    )
    printed = reference.hl_gauss_cross_entropy_as_printed(logits, target, edges.float(), sigma)
    assert torch.allclose(printed[:2].double(), expected[:2], rtol=1e-5)
    assert printed[2].isnan()
    assert expected[2].isfinite()


def test_value_is_the_mean() -> None:
    logits, centers = torch.tensor([0.0, math.log(3)]), torch.tensor([-1.0, 1.0])
    assert reference.categorical_value(logits, centers).item() == pytest.approx(0.5)
