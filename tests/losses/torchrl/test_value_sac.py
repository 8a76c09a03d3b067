"""What SACLoss alone has: the temperature, and states that are left out."""

from typing import Any

import pytest
import torch
from torchrl.objectives import SACLoss

from catzoo.losses import MSE
from catzoo.losses.torchrl import ValueSACLoss
from torchrl_for_tests import (
    GAMMA,
    B,
    assert_same_step,
    continuous,
    move_targets,
    q_network,
    step_of,
    tanh_actor,
)

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def pair(**options: Any) -> tuple[ValueSACLoss, SACLoss]:
    """Ours with MSE, and TorchRL's with the same critics."""
    actor, critics = tanh_actor(), [q_network(1), q_network(1)]
    ours = ValueSACLoss(actor, critics, MSE(), gamma=GAMMA, **options)
    theirs = SACLoss(actor, critics, loss_function="l2", **options)
    theirs.make_value_estimator(gamma=GAMMA)
    move_targets(ours), move_targets(theirs)
    return ours, theirs


@pytest.mark.parametrize(
    "options",
    [
        {"alpha_init": 0.2, "target_entropy": -0.5},
        {"alpha_init": 0.5, "fixed_alpha": True},
        {"alpha_init": 3.0, "min_alpha": 0.1, "max_alpha": 0.4},
        {"reduction": "none", "scalar_output_mode": "exclude"},
    ],
    ids=str,
)
def test_the_temperature_is_torchrls(options: dict[str, Any]) -> None:
    assert_same_step(*pair(**options), continuous())


@pytest.mark.parametrize("some_done", [False, True])
def test_states_that_are_left_out(some_done: bool) -> None:
    batch = continuous()
    if not some_done:
        batch["next", "done"] = batch["next", "terminated"] = torch.zeros(B, 1).bool()
    assert_same_step(*pair(skip_done_states=True), batch)


def test_states_that_are_left_out_of_several_dimensions() -> None:
    """Where TorchRL's fails."""
    loss, batch = pair(skip_done_states=True)[0], continuous((4, 6))
    got, want = step_of(loss, batch), step_of(loss, batch.reshape(-1))
    assert torch.allclose(got["td_error"].flatten(), want["td_error"])
    assert torch.allclose(got["loss_qvalue"], want["loss_qvalue"])
