"""The losses in one file: equal to ours, and a file that stands on torch alone."""

import ast
import math
import subprocess
import sys

import pytest
import torch

from catzoo.losses import LOSSES
from catzoo.losses.single_file import SINGLE, source_of
from catzoo.zoo.cli.main import main

BINS = ("one_hot", "two_hot", "hl_gauss", "c51", "softmax_mse")


def both(name):
    arguments = {"v_min": -3.0, "v_max": 5.0, "num_bins": 17} if name in BINS else {}
    return LOSSES[name](**arguments), SINGLE[name](**arguments)


def close(one, other):
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_every_loss_has_one():
    assert SINGLE.keys() == LOSSES.keys()


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients_are_ours(name):
    ours, theirs = both(name)
    torch.manual_seed(0)
    logits = torch.randn(64, ours.num_outputs)
    target = torch.linspace(-4, 6, 64)
    if name == "softmax_mse":
        target = target.clamp(-3, 5)
    found = []
    for loss in (ours, theirs):
        outputs = logits.clone().requires_grad_()
        value = loss(outputs, target)
        value.sum().backward()
        found.append((value.detach(), outputs.grad, loss.decode(logits)))
    for one, other in zip(*found, strict=True):
        close(one, other)


@pytest.mark.parametrize("name", LOSSES)
def test_so_are_bellman_steps(name):
    ours, theirs = both(name)
    torch.manual_seed(1)
    outputs, following = torch.randn(2, 32, 3, ours.num_outputs).unbind()
    action, reward = torch.randint(3, (32,)), torch.randn(32)
    discount = 0.9 * (torch.rand(32) > 0.2)
    for one, other in zip(
        ours.td(outputs, action, following, reward, discount),
        theirs.td(outputs, action, following, reward, discount), strict=True,
    ):  # fmt: skip
        close(one, other)


@pytest.mark.parametrize("name", LOSSES)
def test_so_is_double_q_learning_with_weights(name):
    ours, theirs = both(name)
    torch.manual_seed(2)
    outputs, following, online = torch.randn(3, 32, 3, ours.num_outputs).unbind()
    asked = {"next_online_outputs": online, "weight": torch.rand(32)}
    rest = (torch.randint(3, (32,)), following, torch.randn(32), torch.full((32,), 0.9))
    for one, other in zip(ours.td(outputs, *rest, **asked), theirs.td(outputs, *rest, **asked), strict=True):
        close(one, other)


@pytest.mark.parametrize("name", LOSSES)
def test_shapes_that_would_be_broadcast_are_refused(name):
    for loss in both(name):
        wide, row = torch.randn(8, 3, loss.num_outputs), torch.randn(8)
        action = torch.zeros(8, dtype=torch.int64)
        for words in (
            lambda: loss(wide[:, 0], row[:, None]),  # noqa: B023 — called at once
            lambda: loss(torch.randn(8, loss.num_outputs + 1), row),  # noqa: B023
            lambda: loss.td(wide, action[:, None], wide, row, row),  # noqa: B023
            lambda: loss.td(wide, action, wide, row[:, None], row),  # noqa: B023
            lambda: loss.backup(wide[:, 0], wide[:, 0], row, row, weight=row[:, None]),  # noqa: B023
        ):
            with pytest.raises(ValueError, match=r"\["):  # a shape is named
                words()


@pytest.mark.parametrize("name", BINS)
def test_bins_stay_exact_in_low_precision_and_out_of_the_state(name):
    ours, theirs = both(name)
    logits, target = torch.randn(16, 17).bfloat16(), torch.linspace(-2.9, 4.9, 16)
    wanted = theirs(logits, target)
    theirs.to(torch.bfloat16)
    assert not theirs.state_dict()
    close(theirs(logits, target), wanted)
    close(theirs.decode(logits), ours.decode(logits).float())


@pytest.mark.parametrize(
    "wrong", [{"v_min": 5.0}, {"num_bins": 1}, {"num_bins": 0}, {"sigma": 0.0}, {"sigma_ratio": -1.0}]
)
def test_supports_that_cannot_be_are_refused(wrong):
    for kind in (LOSSES["hl_gauss"], SINGLE["hl_gauss"]):
        with pytest.raises(ValueError, match=r"must be|above 0"):
            kind(**{"v_min": -3.0, "v_max": 5.0, "num_bins": 17} | wrong)


@pytest.mark.parametrize(
    "asked", [{"pad_sigmas": 3.0}, {"sigma": 1.3, "pad_sigmas": 2.0}, {"sigma_ratio": 2.0}]
)
def test_widths_and_padding_mean_the_same(asked):
    ours, theirs = (kind(v_min=-3.0, v_max=5.0, num_bins=17, **asked)
                    for kind in (LOSSES["hl_gauss"], SINGLE["hl_gauss"]))  # fmt: skip
    value = torch.linspace(-4, 6, 101)
    close(ours.encode(value), theirs.encode(value))
    close(ours.support.centers, theirs.centers)


@pytest.mark.parametrize("name", LOSSES)
def test_so_are_targets_that_are_not_finite_and_half_precision(name):
    ours, theirs = both(name)
    logits = (20 * torch.randn(5, ours.num_outputs)).half().requires_grad_()
    target = torch.tensor([math.inf, -math.inf, math.nan, 0.5, 1.5])
    found = [loss(logits, target) for loss in (ours, theirs)]
    spoilt = [torch.autograd.grad(loss.sum(), logits)[0].isnan().any(-1) for loss in found]
    assert found[1].dtype == torch.float32
    assert found[1].isnan().tolist() == found[0].isnan().tolist() == [True] * 3 + [False] * 2
    close(found[0][3:], found[1][3:])
    assert (spoilt[1] >= spoilt[0]).all()


@pytest.mark.parametrize("name", ["mse", "huber", "quantile"])
def test_doubles_stay_doubles(name):
    ours, theirs = both(name)
    outputs, target = torch.randn(4, ours.num_outputs).double(), torch.randn(4).double()
    assert theirs(outputs, target).dtype == ours(outputs, target).dtype == torch.float64


def test_without_a_kappa_the_quantile_loss_is_linear():
    ours, theirs = (kind(11, kappa=0.0) for kind in (LOSSES["quantile"], SINGLE["quantile"]))
    outputs, target = torch.randn(6, 11), torch.randn(6)
    close(ours(outputs, target), theirs(outputs, target))


def test_a_sigma_that_is_said_may_be_padded_with_few_bins():
    asked = {"v_min": 0.0, "v_max": 1.0, "num_bins": 4, "sigma": 0.05, "pad_sigmas": 3.0}
    ours, theirs = (kind(**asked) for kind in (LOSSES["hl_gauss"], SINGLE["hl_gauss"]))
    close(ours.encode(torch.linspace(0, 1, 9)), theirs.encode(torch.linspace(0, 1, 9)))


@pytest.mark.parametrize("name", ["one_hot", "two_hot", "hl_gauss", "c51"])
def test_so_are_labels(name):
    ours, theirs = both(name)
    value = torch.linspace(-4, 6, 101)
    close(ours.encode(value), theirs.encode(value))


@pytest.mark.parametrize("name", ["one_hot", "two_hot", "hl_gauss", "c51"])
def test_so_are_labels_where_two_bins_are_as_near(name):
    value = torch.tensor([0.6, 1.0, 5.0, 9.8, -1.0, 0.2, 20.0, float("nan")])
    close(LOSSES[name]().encode(value).isnan().any(-1), SINGLE[name]().encode(value).isnan().any(-1))
    close(LOSSES[name]().encode(value[:7]), SINGLE[name]().encode(value[:7]))


def test_the_file_needs_nothing_but_torch(tmp_path):
    assert main(["export", "losses", "--out", str(tmp_path / "mine.py"), "c51", "hl_gauss"]) == 0
    text = (tmp_path / "mine.py").read_text()
    tree = ast.parse(text)
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} == {"torch"}
    assert "class MSE" not in text
    script = """
import sys
sys.modules["catzoo"] = None
import torch, mine
outputs = torch.zeros(4, 11, requires_grad=True)
mine.HLGauss(0, 1, 11)(outputs, torch.rand(4)).mean().backward()
print(mine.C51().num_outputs, outputs.grad.shape[1])
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["51", "11"]


def test_all_of_them_in_one_file_are_python():
    ast.parse(source_of(list(SINGLE)))


def test_an_unknown_loss_is_one_line(capsys):
    assert main(["export", "losses", "hlgauss"]) == 2
    assert "unknown value loss 'hlgauss'" in capsys.readouterr().err
