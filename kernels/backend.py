"""Which implementation computes a loss: a dictionary, best first, and one function that reads it."""

from typing import Literal, Protocol

import torch
from torch import Tensor

from catzoo.kernels import torch_path

Backend = Literal["auto", "torch", "triton"]


class Implementation(Protocol):
    """What a module must define to be a backend; arguments are checked and constants are Python floats."""

    def supports(self, device: torch.device) -> bool: ...

    def hl_gauss_cross_entropy(
        self,
        logits_K: Tensor,
        target: Tensor,
        edge_min: float,
        edge_max: float,
        sigma: float,
        clamp: tuple[float, float],
    ) -> Tensor: ...

    def two_hot_cross_entropy(self, logits_K: Tensor, target: Tensor, centers_K: Tensor) -> Tensor: ...

    def soft_label_cross_entropy(self, logits_K: Tensor, label_K: Tensor) -> Tensor: ...

    def c51_cross_entropy(
        self, logits_K: Tensor, next_logits_K: Tensor, reward: Tensor, discount: Tensor, centers_K: Tensor
    ) -> Tensor: ...

    def categorical_value(self, logits_K: Tensor, centers_K: Tensor) -> Tensor: ...


# "auto" takes the first that supports the device. A backend is a module and one entry here.
IMPLEMENTATIONS: dict[str, Implementation] = {"torch": torch_path}


def check_backend(backend: str) -> None:
    """Raise ValueError unless this version has the backend, on whatever device."""
    if backend != "auto" and backend not in IMPLEMENTATIONS:
        raise ValueError(
            f"backend={backend!r} is not in this version; available: {_names(['auto', *IMPLEMENTATIONS])}"
        )


def resolve_backend(backend: str, device: torch.device) -> str:
    """The name of the implementation to use on a device; ValueError if there is none of that name for it."""
    check_backend(backend)
    for name, implementation in IMPLEMENTATIONS.items():
        if backend in ("auto", name) and implementation.supports(device):
            return name
    able = [name for name, implementation in IMPLEMENTATIONS.items() if implementation.supports(device)]
    raise ValueError(f"backend={backend!r} does not run on device {str(device)!r}; available: {_names(able)}")


def _names(names: list[str]) -> str:
    return ", ".join(map(repr, names))
