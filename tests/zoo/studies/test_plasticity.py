"""The study of plasticity: its stack of networks against networks trained one by one, and what rows say."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from catzoo.hparams import RecipeError
from catzoo.zoo.pictures import style
from catzoo.zoo.studies import images
from catzoo.zoo.studies.claims.plasticity import (
    FREQUENCY,
    LOSSES,
    Plasticity,
    PlasticitySettings,
    generator,
    inputs,
    labels,
    make_loss,
    network,
    random_layers,
    train,
)
from catzoo.zoo.studies.study import Verdict, find_study, values

SETTINGS = PlasticitySettings(seeds=3, steps=20, batch_size=16, width=8, images=64, offsets=(0.0, 8.0))


def module(layers):
    """The same network as PyTorch's own."""
    parts = []
    for weight, bias in zip(layers[::2], layers[1::2], strict=True):
        linear = nn.Linear(*weight.shape)
        linear.weight.data, linear.bias.data = weight.T.clone(), bias[0].clone()
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def alone(settings, loss, seed):
    """One seed's errors, trained without a stack."""
    x_NI = inputs(settings)
    sizes = (x_NI.shape[1], settings.width, settings.width)
    net = module(network(seed, sizes, loss.num_outputs))
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    targets, batches = generator(seed, "targets"), generator(seed, "batches")
    errors = []
    for offset in settings.offsets:
        f = module([layer.double() for layer in random_layers((*sizes, 1), targets)])
        y_N = (torch.sin(1e5 * f(x_NI.double())[:, 0]) + offset).float().detach()
        last = []
        for _ in range(settings.steps):
            batch = torch.randint(len(x_NI), (settings.batch_size,), generator=batches)
            outputs = net(x_NI[batch])
            last.append((loss.decode(outputs) - y_N[batch]).square().mean().item())
            adam.zero_grad()
            loss(outputs, y_N[batch]).mean().backward()
            adam.step()
        errors.append(sum(last[-2:]) / 2)
    return errors


@pytest.mark.parametrize("name", LOSSES)
def test_members_learn_what_they_learn_alone(name):
    together = train(SETTINGS, make_loss(name), range(3))
    for seed in range(3):
        assert together[seed] == pytest.approx(alone(SETTINGS, make_loss(name), seed), rel=1e-4)
    assert len({round(errors[0], 6) for errors in together}) == 3


def test_labels_are_told_by_nothing_but_their_own_image():
    x_NI = inputs(replace(SETTINGS, images=1_000))
    random = generator(0, "targets")
    first_N, second_N = (labels(x_NI, (64, 128, 128), offset, random) - offset for offset in (0.0, 32.0))
    assert first_N.abs().max() <= 1
    assert first_N.square().mean() == pytest.approx(0.5, abs=0.06)
    assert abs(torch.corrcoef(torch.stack((first_N, second_N)))[0, 1]) < 0.1  # a new f
    neighbour_N = labels(x_NI + 1 / FREQUENCY, (64, 128, 128), 0.0, generator(0, "targets"))
    assert abs(neighbour_N - first_N).max() > 0.1


def test_losses_differ_in_the_output_layer_alone():
    one, many = network(5, (64, 8, 8), 1), network(5, (64, 8, 8), 101)
    assert all(torch.equal(a, b) for a, b in zip(one[:4], many[:4], strict=True))
    assert [layer.shape[-1] for layer in (one[4], many[4])] == [1, 101]
    assert make_loss("two_hot").support.bins == make_loss("hl_gauss").support.bins


def test_the_same_seed_gives_the_same_rows(tmp_path):
    study = Plasticity(SETTINGS)
    task = study.tasks()[2]
    rows = study.work(task, tmp_path)
    assert rows == study.work(task, tmp_path)
    assert [(row["seed"], row["phase"], row["b"]) for row in rows[:3]] == [
        (0, 0, 0.0),
        (0, 1, 8.0),
        (1, 0, 0.0),
    ]
    fewer = Plasticity(replace(SETTINGS, seeds=1)).work(task, tmp_path)
    assert fewer[0]["error"] == pytest.approx(rows[0]["error"], rel=1e-4)


def rows_with(**ends):
    return [
        {"loss": loss, "seed": seed, "phase": phase, "b": 8.0 * phase, "error": error + 0.001 * seed}
        for loss, errors in ends.items()
        for seed in range(3)
        for phase, error in enumerate(errors)
    ]


def test_what_rows_say():
    study = Plasticity(SETTINGS)
    as_claimed = rows_with(mse=(0.1, 0.4), two_hot=(0.1, 0.3), hl_gauss=(0.15, 0.2))
    findings = study.findings(as_claimed)
    assert [finding.value for finding in findings] == pytest.approx([0.2, 0.1, 0.1, 0.25])
    assert Verdict(findings).outcome == "reproduced"
    opposite = study.findings(rows_with(mse=(0.1, 0.1), two_hot=(0.1, 0.3), hl_gauss=(0.1, 0.4)))
    assert {finding.outcome for finding in opposite} == {"not reproduced"}
    without = [row for row in as_claimed if row["loss"] != "two_hot"]
    assert [finding.value for finding in study.findings(without)] == pytest.approx([0.2, 0.25])


def test_the_picture():
    rows = rows_with(mse=(0.1, 0.4), two_hot=(0.1, 0.3), hl_gauss=(0.15, 0.2))
    with style.styled():
        axes = Plasticity(SETTINGS).draw(rows).axes[0]
    drawn = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert drawn["MSE"] == pytest.approx([0.101, 0.401])
    assert set(drawn) == {"MSE", "Two-Hot", "HL-Gauss", "always b"}


def test_missing_data_is_told_before_anything_is_done(tmp_path, monkeypatch):
    monkeypatch.setitem(images.DATA, "fashion-mnist", tmp_path / "none.gz")
    with pytest.raises(RecipeError, match="apt install"):
        Plasticity(replace(SETTINGS, data="fashion-mnist"))


def test_budgets():
    study = find_study("plasticity")
    assert study.budgets["full"].seeds == 30
    assert study.budgets["full"].steps == 5_000
    rows = study(study.budgets["tiny"]).work(study(study.budgets["tiny"]).tasks()[0], None)
    assert len(values(rows, "error", phase=4, b=32.0)) == 3
