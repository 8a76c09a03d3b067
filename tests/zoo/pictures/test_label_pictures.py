"""The picture of labels: it shows what the losses encode, and of C51 the Bellman step."""

import pytest
import torch
from PIL import Image

from catzoo.losses import make_value_loss
from catzoo.zoo.pictures.label_pictures import (
    BINS,
    DISCOUNT,
    REWARD,
    V_MAX,
    V_MIN,
    VALUE,
    _label,
    draw_labels,
)


@pytest.mark.parametrize("name", ["one_hot", "two_hot", "hl_gauss", "c51"])
def test_a_label_is_a_distribution_around_its_target(name):
    loss = make_value_loss(name, v_min=V_MIN, v_max=V_MAX, num_bins=BINS)
    label_K, target, _ = _label(name, loss, loss.support.centers)
    mean = float((label_K * loss.support.centers).sum())
    assert float(label_K.sum()) == pytest.approx(1, abs=1e-5)
    assert mean == pytest.approx(target, abs=0.26 if name == "one_hot" else 0.01)
    if name == "c51":
        outputs = torch.zeros(1, 1, BINS, requires_grad=True)
        next_K = -((loss.support.centers - 6.0) ** 2) / 2 + 0.8 * (loss.support.centers > 6)
        following = next_K.log_softmax(0).view(1, 1, -1)
        step, _ = loss.td(
            outputs, torch.tensor([0]), following, torch.tensor([REWARD]), torch.tensor([DISCOUNT])
        )
        step.sum().backward()
        torch.testing.assert_close(1 / BINS - outputs.grad.flatten(), label_K, atol=1e-5, rtol=1e-4)
    else:
        assert target == VALUE


def test_the_picture_is_drawn(tmp_path):
    draw_labels(tmp_path / "labels.png")
    assert Image.open(tmp_path / "labels.png").size[0] > 800
