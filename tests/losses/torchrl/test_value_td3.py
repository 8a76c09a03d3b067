"""What TD3Loss alone has: noise on the target's action, within bounds, and what it reports."""

from typing import Any

import pytest
import torch
import torchrl.data as rl
from torchrl.objectives import TD3Loss

from catzoo.losses import MSE, HLGauss
from catzoo.losses.torchrl import ValueTD3Loss
from torchrl_for_tests import (
    GAMMA,
    B,
    K,
    M,
    assert_same_step,
    continuous,
    deterministic_actor,
    move_targets,
    q_network,
)

pytestmark = pytest.mark.filterwarnings("ignore:No target network updater")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(
    "options",
    [
        {"action_spec": rl.Bounded(-0.3, 0.2, M)},
        {"bounds": (-1.0, 1.0), "policy_noise": 2.0, "noise_clip": 0.1},
        {"bounds": (-1.0, 1.0), "policy_noise": 0.0},
    ],
    ids=str,
)
def test_noise_and_bounds_are_torchrls(options: dict[str, Any]) -> None:
    actor, critics = deterministic_actor(), [q_network(1), q_network(1)]
    ours = ValueTD3Loss(actor, critics, MSE(), gamma=GAMMA, **options)
    theirs = TD3Loss(actor, critics, loss_function="l2", **options)
    theirs.make_value_estimator(gamma=GAMMA)
    move_targets(ours), move_targets(theirs)
    assert_same_step(ours, theirs, continuous())


def test_what_it_reports_are_values() -> None:
    value_loss = HLGauss(-5, 5, K)
    loss = ValueTD3Loss(deterministic_actor(), q_network(K), value_loss, gamma=GAMMA, bounds=(-1, 1))
    move_targets(loss)
    batch = continuous()
    given = loss(batch)
    going = batch["next", "terminated"].squeeze(-1).logical_not()
    target = batch["next", "reward"].squeeze(-1) + GAMMA * going * given["next_state_value"]
    assert torch.allclose(given["target_value"], target)
    assert given["pred_value"].shape == given["state_action_value_actor"].shape == (2, B)
    error = (given["target_value"] - given["pred_value"]).square().amax(0)
    assert torch.allclose(batch["td_error"], error, rtol=1e-4, atol=1e-5)
    assert torch.allclose(given["loss_actor"], -given["state_action_value_actor"][0].mean())
