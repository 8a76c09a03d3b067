"""What is counted: rows of metrics, losses that are not finite, and progress that goes on."""

import pytest
import torch

from catzoo.agents import Bookkeeping, NotFiniteError, Returns, Transitions


def batches(number, size=2):
    return Returns(torch.zeros(number, size, 1), torch.zeros(number, size).long(), torch.zeros(number, size))


def booked(critic, actor=None):
    books = Bookkeeping(Returns, torch.device("cpu"), 100)
    books.steps, books.every = 8, {"actor": 2}
    losses = {"critic": torch.tensor(critic)} | ({} if actor is None else {"actor": torch.tensor(actor)})
    books.learned(batches(len(critic)), losses, torch.ones(len(critic), 2))
    return books


def test_a_row_has_the_loss_of_every_step():
    row = booked([1.0, 3.0], [4.0]).row({"train/epsilon": 0.5})
    assert (row["train/loss"], row["train/actor_loss"], row["train/td_error"]) == (2.0, 4.0, 1.0)
    assert (row["train/epsilon"], row["train/updates"]) == (0.5, 2)


def test_losses_are_averaged_since_the_last_row():
    books = booked([1.0, 3.0])
    books.row({})
    assert "train/loss" not in books.row({})
    books.learned(batches(1), {"critic": torch.tensor([5.0])}, torch.ones(1, 2))
    assert books.row({})["train/loss"] == 5.0


@pytest.mark.parametrize(
    ("critic", "actor", "update"),
    [
        ([1.0, float("nan")], None, 2),
        ([float("inf"), 1.0], [float("nan")], 1),
        ([1.0, 1.0], [float("nan")], 2),
    ],
)
def test_a_loss_that_is_not_finite_is_named(critic, actor, update):
    books = booked(critic, actor)
    with pytest.raises(NotFiniteError, match=f"at step 8, update {update}") as caught:
        books.check_losses()
    assert caught.value.batch.observation.shape == (2, 1)
    books.check_losses()  # it is said once


def test_progress_goes_on():
    books = booked([1.0, 3.0], [4.0])
    again = Bookkeeping(Returns, torch.device("cpu"), 100)
    again.load_progress(books.progress(), "critic")
    ours, theirs = (one.row({}) for one in (books, again))
    assert {**ours, "time/steps_per_second": 0} == {**theirs, "time/steps_per_second": 0}
    assert isinstance(again.last_batch, Returns)


def test_rollouts_batches_of_earlier_versions_are_read():
    """They had the returns in the place of rewards, and columns of no meaning behind them."""
    books = booked([1.0])
    old = Transitions(
        torch.ones(2, 1), torch.ones(2).long(), torch.full((2,), 7.0), torch.zeros(2), torch.ones(2, 1)
    )
    books.load_progress({**books.progress(), "last_batch": tuple(old)}, "critic")
    assert (books.last_batch.returns == 7.0).all()


@pytest.mark.parametrize(("before", "number", "bad", "update"), [(0, 5, 3, 4), (1, 4, 2, 4), (0, 2, 1, 2)])
def test_the_update_of_a_step_that_is_not_taken_at_each(before, number, bad, update):
    """The actor's step, at every second update: its loss is bad at batch `bad`, counted from 0."""
    books = Bookkeeping(Returns, torch.device("cpu"), 100)
    books.updates, books.every = before, {"actor": 2}
    taken = [k for k in range(number) if (before + k + 1) % 2 == 0]
    losses = {
        "critic": torch.ones(number),
        "actor": torch.tensor([float("nan") if k == bad else 1.0 for k in taken]),
    }
    given = batches(number)._replace(observation=torch.arange(number).view(number, 1, 1))
    books.learned(given, losses, torch.ones(number, 2))
    with pytest.raises(NotFiniteError, match=f"update {update}$") as caught:
        books.check_losses()
    assert int(caught.value.batch.observation) == bad


def test_a_row_is_due_after_so_many_steps_and_at_the_last_of_all():
    books = booked([1.0])
    assert [books.row_due(8), books.row_due(9)] == [True, False]
    books.steps = 100
    assert books.row_due(1_000)
    books.row({})
    assert not books.row_due(1_000)
    books.steps = 108  # somebody goes on
    assert not books.row_due(1_000)
