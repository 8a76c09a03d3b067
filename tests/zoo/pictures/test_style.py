"""What pictures have in common: a loss looks the same in each."""

import pytest

from catzoo.zoo.pictures import style


@pytest.mark.parametrize("prefix", ["", "DQN · ", "Rainbow · "])
def test_a_loss_looks_the_same_whatever_stands_beside_it(prefix):
    pair = style.looks([f"{prefix}HL-Gauss", f"{prefix}C51"])
    alone = style.looks(["C51"])
    assert pair[f"{prefix}C51"] == alone["C51"] != pair[f"{prefix}HL-Gauss"]


def test_agents_of_one_loss_look_different():
    two = style.looks(["DQN · MSE", "Rainbow · MSE"])
    assert len({str(look) for look in two.values()}) == 2


def test_64_labels_look_different():
    many = style.looks(f"group {number}" for number in range(64))
    assert len({str(look) for look in many.values()}) == 64
