"""What is read from a tensordict, and how what is wrong with it is named."""

from types import SimpleNamespace

import pytest
import torch
from tensordict import TensorDict

from catzoo.losses.torchrl.entries import discount_of, entry, per_row, refuse_options, reward_of

KEYS = SimpleNamespace(reward="reward", terminated="terminated", done="done", steps_to_next_obs="n")
B = torch.Size([3])


def test_a_discount_is_gamma_for_every_step_until_the_end() -> None:
    over = torch.tensor([[False], [False], [True]])
    batch = TensorDict({"next": {"done": over}}, B)
    gamma = torch.tensor(0.5)
    assert discount_of(batch, KEYS, gamma, B).tolist() == [0.5, 0.5, 0]  # "done" stands in
    batch["n"] = torch.tensor([1, 3, 2])
    batch["next", "terminated"] = ~over
    assert discount_of(batch, KEYS, gamma, B).tolist() == [0, 0, 0.25]


def test_a_reward_tells_the_batch() -> None:
    batch = TensorDict({"next": {"reward": torch.ones(3, 2, 1)}}, B)
    assert reward_of(batch, KEYS).shape == (3, 2)


def test_rows_with_and_without_a_last_dimension() -> None:
    assert per_row("x", torch.ones(3), B).shape == per_row("x", torch.ones(3, 1), B).shape == B
    with pytest.raises(ValueError, match=r"^'x' must have shape \[3, 1\] or \[3\], got \[3, 2\]$"):
        per_row("x", torch.ones(3, 2), B)


def test_what_is_missing_is_named_with_what_is_there() -> None:
    batch = TensorDict({"a": torch.ones(3), "next": {"b": torch.ones(3)}}, B)
    with pytest.raises(
        ValueError, match=r"^no 'x' in the tensordict, which has \('next', 'b'\), a; set_keys"
    ):
        entry(batch, "x")


def test_options_that_have_no_place() -> None:
    refuse_options([], {"other": 1}, option="because")
    with pytest.raises(TypeError, match=r"^list takes no option: because$"):
        refuse_options([], {"option": None}, option="because")
