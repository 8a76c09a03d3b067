"""The choice of a backend, and the one-line errors of the public functions."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from catzoo import kernels
from catzoo.kernels import backend, torch_path

CPU, CENTERS = torch.device("cpu"), torch.linspace(-1, 1, 5)


def test_auto_takes_the_first_that_supports_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    fused = SimpleNamespace(**vars(torch_path) | {"supports": lambda device: device.type == "cuda"})
    monkeypatch.setattr(backend, "IMPLEMENTATIONS", {"fused": fused, "torch": torch_path})
    assert kernels.resolve_backend("auto", CPU) == "torch"
    assert kernels.resolve_backend("auto", torch.device("cuda")) == "fused"
    assert kernels.resolve_backend("torch", torch.device("cuda")) == "torch"
    with pytest.raises(
        ValueError, match=r"^backend='fused' does not run on device 'cpu'; available: 'torch'$"
    ):
        kernels.resolve_backend("fused", CPU)


def test_the_losses_run_on_the_chosen_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    def constant(logits: torch.Tensor, *_: object) -> torch.Tensor:
        return torch.full(logits.shape[:-1], 7.0)

    names = [
        name for name in vars(torch_path) if name.endswith("_cross_entropy") or name == "categorical_value"
    ]
    fake = SimpleNamespace(supports=lambda device: True, **dict.fromkeys(names, constant))
    monkeypatch.setitem(backend.IMPLEMENTATIONS, "fake", fake)
    logits, scalar = torch.zeros(2, 5), torch.zeros(2)
    losses = [
        kernels.hl_gauss_cross_entropy(logits, scalar, edge_min=-1, edge_max=1, sigma=1, backend="fake"),
        kernels.two_hot_cross_entropy(logits, scalar, CENTERS, backend="fake"),
        kernels.soft_label_cross_entropy(logits, logits, backend="fake"),
        kernels.c51_cross_entropy(logits, logits, scalar, scalar, CENTERS, backend="fake"),
        kernels.categorical_value(logits, CENTERS, backend="fake"),
    ]
    assert all(torch.equal(loss, torch.full((2,), 7.0)) for loss in losses)


@pytest.mark.parametrize("name", ["triton", "cuda"])
def test_a_backend_that_this_version_lacks(name: str) -> None:
    message = f"backend='{name}' is not in this version; available: 'auto', 'torch'$"
    with pytest.raises(ValueError, match=message):
        kernels.check_backend(name)
    with pytest.raises(ValueError, match=message):
        kernels.two_hot_cross_entropy(torch.zeros(2, 5), torch.zeros(2), CENTERS, backend=name)


def gauss(logits: Any, target: Any, **kwargs: Any) -> Any:
    return kernels.hl_gauss_cross_entropy(
        logits, target, **{"edge_min": -1.0, "edge_max": 1.0, "sigma": 0.1} | kwargs
    )


L, Y = torch.zeros(2, 5), torch.zeros(2)
BAD_CALLS = {
    "logits must be floating point, got torch.int64": lambda: gauss(L.long(), Y),
    r"logits must have shape \[..., K\] with K >= 2, got \[2, 1\]": lambda: gauss(torch.zeros(2, 1), Y),
    r"target must have shape \[2\], got \[3\]": lambda: gauss(L, torch.zeros(3)),
    r"target must have shape \[2\], got \[2, 1\]": lambda: gauss(L, torch.zeros(2, 1)),
    "edge_min must be below edge_max, both finite; got 1.0 and 1.0": lambda: gauss(L, Y, edge_min=1.0),
    "edge_min must be below edge_max, both finite; got -1.0 and nan": lambda: gauss(
        L, Y, edge_max=float("nan")
    ),
    "sigma must be positive and finite, got 0.0": lambda: gauss(L, Y, sigma=0.0),
    "sigma must be positive and finite, got inf": lambda: gauss(L, Y, sigma=float("inf")),
    r"clamp must lie inside the edges \[-1.0, 1.0\], got \(-2, 1\)": lambda: gauss(L, Y, clamp=(-2, 1)),
    r"clamp must lie inside the edges \[-1.0, 1.0\], got \(1, 0\)": lambda: gauss(L, Y, clamp=(1, 0)),
    "num_bins must be at least 2, got 1": lambda: kernels.hl_gauss_label(
        Y, 1, edge_min=0, edge_max=1, sigma=1
    ),
    r"centers must have shape \[5\].*, got \[4\]": lambda: kernels.two_hot_cross_entropy(L, Y, CENTERS[:4]),
    r"centers must have shape.*, got \[1, 5\]": lambda: kernels.categorical_value(L, CENTERS[None]),
    r"label must have shape \[2, 5\], got \[2, 4\]": lambda: kernels.soft_label_cross_entropy(L, L[:, :4]),
    "label must be floating point, got torch.bool": lambda: kernels.soft_label_cross_entropy(L, L.bool()),
    r"next_logits must have shape \[2, 5\], got \[1, 5\]": (
        lambda: kernels.c51_cross_entropy(L, L[:1], Y, Y, CENTERS)
    ),
    r"reward must have shape \[2\], got \[\]": lambda: kernels.c51_label(L, Y[0], Y, CENTERS),
    r"discount must have shape \[2\], got \[1\]": lambda: kernels.c51_cross_entropy(L, L, Y, Y[:1], CENTERS),
}


@pytest.mark.parametrize("message", BAD_CALLS)
def test_bad_arguments_raise_one_line(message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}") as error:
        BAD_CALLS[message]()
    assert "\n" not in str(error.value)
