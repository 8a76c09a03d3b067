"""Which implementation computes a call: a dictionary, best first, and one function that reads it.

What cannot run somewhere says why before anything is launched. What should run and breaks (Triton or a
compiler missing, a kernel that does not build on this device) costs one warning that names the cause, and
PyTorch's operations take over; if it was asked for by name, the error is the caller's.
"""

import threading
import warnings
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor

from catzoo.kernels import numba_path, torch_path, triton_path
from catzoo.kernels.bins import Bins
from catzoo.kernels.last_layer import LastLayer
from catzoo.kernels.numerics import is_recorded
from catzoo.kernels.rules import Rule, Target, ValueRule
from catzoo.kernels.td import TDInputs, TDResult

Backend = Literal["auto", "numba", "torch", "triton"]


class Implementation(Protocol):
    """What a module must define to be a backend; arguments are checked, derivatives are `autograd`'s."""

    def refusal(
        self, device: torch.device, rule: Rule | None, num_bins: int, dtype: torch.dtype
    ) -> str | None: ...

    def loss_and_grad(
        self, logits_K: Tensor, target: Target, rule: Rule, weight: Tensor | None, with_grad: bool
    ) -> tuple[Tensor, Tensor | None]: ...

    def linear_loss_and_grad(
        self, layer: LastLayer, target: Target, rule: Rule, weight: Tensor | None, with_grad: bool
    ) -> tuple[Tensor, Tensor | None]: ...

    def categorical_td(
        self, inputs: TDInputs, rule: ValueRule, with_grad: bool
    ) -> tuple[TDResult, Tensor | None]: ...

    def categorical_value(self, logits_K: Tensor, bins: Bins) -> Tensor: ...

    def greedy_action(self, logits_AK: Tensor, bins: Bins) -> Tensor: ...


@dataclass(frozen=True)
class Choice:
    """The implementation of a call, and whether another may take over if it breaks."""

    name: str
    automatic: bool = False


# "auto" takes the first that does not refuse. A backend is a module and one entry here.
IMPLEMENTATIONS: dict[str, Implementation] = {
    "triton": triton_path,
    "numba": numba_path,
    "torch": torch_path,
}

# These go into a graph as operators (`compiled`), for all others PyTorch's plain formulas, which it can fuse.
OPERATORS = ("triton",)

# Made once: to make one takes a microsecond, and every call needs one.
AUTOMATIC = {name: Choice(name, automatic=True) for name in IMPLEMENTATIONS}

_broken: dict[tuple[str, torch.device], str] = {}
_lock = threading.Lock()


def check_backend(backend: str) -> None:
    """Raise ValueError unless there is a backend of that name, on whatever device."""
    if backend != "auto" and backend not in IMPLEMENTATIONS:
        raise ValueError(f"backend must be one of {', '.join(map(repr, get_args(Backend)))}; got {backend!r}")


def choose(
    backend: str,
    device: torch.device,
    rule: Rule | None = None,
    num_bins: int = 2,
    dtype: torch.dtype = torch.float32,
) -> Choice:
    """The implementation for such a call; ValueError with the reason if `backend` cannot do it."""
    if backend != "auto":
        check_backend(backend)
        reason = IMPLEMENTATIONS[backend].refusal(device, rule, num_bins, dtype)
        if reason is not None:
            raise ValueError(f"backend={backend!r} {reason.replace('{device}', f'device {str(device)!r}')}")
        return Choice(backend)
    for name, implementation in IMPLEMENTATIONS.items():
        if implementation.refusal(device, rule, num_bins, dtype) is None and (name, device) not in _broken:
            return AUTOMATIC.get(name) or Choice(name, automatic=True)
    raise AssertionError("the last implementation refuses nothing")


def resolve_backend(backend: str, device: torch.device) -> str:
    """The name of the implementation on a device; ValueError if that backend does not run there."""
    return choose(backend, device).name


def run(choice: Choice, step: str, device: torch.device, *arguments: Any) -> Any:
    """Call a step of the chosen implementation, and of the last one if an automatic choice breaks."""
    name, last = choice.name, next(reversed(IMPLEMENTATIONS))
    if name != last and _is_for_pytorch(choice, device, _logits(arguments[0])):
        name = last
    if name == last or not choice.automatic:
        return getattr(IMPLEMENTATIONS[name], step)(*arguments)
    try:
        return getattr(IMPLEMENTATIONS[name], step)(*arguments)
    except (torch.OutOfMemoryError, ValueError, TypeError, IndexError):
        raise  # nothing that says that the kernels are broken
    except Exception as error:
        if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
            raise
        _disable(name, device, error)
        return getattr(IMPLEMENTATIONS[last], step)(*arguments)


def _logits(first: Tensor | TDInputs | LastLayer) -> int:
    """How many logits a call is about, by its first argument."""
    if isinstance(first, LastLayer):
        return first.features.shape[:-1].numel() * len(first.weight)
    return (first.outputs if isinstance(first, TDInputs) else first).numel()


def _is_for_pytorch(choice: Choice, device: torch.device, count: int) -> bool:
    """Whether this call of an implementation is PyTorch's to answer."""
    in_a_graph = choice.name in OPERATORS
    if not in_a_graph and is_recorded():
        return True
    # Under a mode that sees every operation, as `FakeTensorMode`, and inside of `torch.func`.
    lacks_data = (
        torch._C._functorch.peek_interpreter_stack() is not None or torch._C._len_torch_dispatch_stack() > 0
    )
    if not choice.automatic:
        return lacks_data and not in_a_graph
    if lacks_data or (choice.name, device) in _broken:
        return True
    return choice.name == "numba" and numba_path.is_for_threads(count)


def _disable(name: str, device: torch.device, error: Exception) -> None:
    cause = str(error).strip().splitlines()
    with _lock:
        if (name, device) in _broken:  # another thread was first
            return
        _broken[name, device] = f"{type(error).__name__}: {cause[0] if cause else 'no message'}"
    warnings.warn(
        f"the {name} kernels do not work on {device} ({_broken[name, device]}); "
        "PyTorch's operations take over",
        RuntimeWarning,
        stacklevel=2,
    )
