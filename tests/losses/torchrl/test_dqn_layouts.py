"""Where ValueDQNLoss finds actions and atoms in what a network writes."""

from typing import Any
from unittest.mock import Mock

import pytest
import torch

from catzoo.losses import MSE, TwoHot
from torchrl_for_tests import A, B, K, data, dqn_loss, fixed


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_atoms_first_is_read_through_other_strides_without_a_copy(monkeypatch: Any) -> None:
    value, two_hot, td = torch.randn(B, K, A, requires_grad=True), TwoHot(-5, 5, K), Mock(wraps=TwoHot.td)
    monkeypatch.setattr(TwoHot, "td", lambda *args, **kwargs: td(*args, **kwargs))
    fixed(value, two_hot)(data())["loss"].backward()
    seen = td.call_args.args[1]
    assert (seen.shape, seen.stride()) == ((B, A, K), (K * A, 1, A))
    assert seen.data_ptr() == value.data_ptr()
    touched = value.grad.abs().sum(1) > 0  # type: ignore[union-attr]
    assert torch.equal(touched, data()["action"])


def test_every_layout_gives_the_same_loss() -> None:
    value, two_hot = torch.randn(B, K, A), TwoHot(-5, 5, K)
    first, last = (fixed(x, two_hot)(data())["loss"] for x in (value, value.mT.contiguous()))
    assert torch.allclose(first, last, atol=1e-6)
    scalar = value[:, 0], value[:, :1], value[:, :1].mT
    assert len({fixed(x, MSE())(data())["loss"].item() for x in scalar}) == 1


def test_as_many_actions_as_atoms_needs_a_layout() -> None:
    value, two_hot = torch.randn(B, A, A), TwoHot(-5, 5, A)
    with pytest.raises(ValueError, match=r"'action_value' of shape \[16, 3, 3\] has as many actions as"):
        fixed(value, two_hot)(data())
    first = fixed(value, two_hot, layout="atoms_first")(data())["loss"]
    last = fixed(value.mT, two_hot, layout="atoms_last")(data())["loss"]
    assert torch.allclose(first, last, atol=1e-6)
    assert dqn_loss(two_hot).layout == "atoms_first"


def test_wrong_outputs_are_named() -> None:
    two_hot, allowed = TwoHot(-5, 5, K), r"\[16, 21, actions\] or \[16, actions, 21\]"
    with pytest.raises(ValueError, match=rf"^'action_value' must have shape {allowed}, got \[16, 3\]$"):
        fixed(torch.zeros(B, A), two_hot)(data())
    with pytest.raises(ValueError, match=rf"^'action_value' must have shape {allowed}, got \[16, 22, 3\]$"):
        fixed(torch.zeros(B, K + 1, A), two_hot)(data())
    with pytest.raises(ValueError, match=r"\[16, actions\] or \[16, 1, actions\] or \[16, actions, 1\], got"):
        fixed(torch.zeros(B, 2, A), MSE())(data())
