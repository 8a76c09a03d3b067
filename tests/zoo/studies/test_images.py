"""Image files: the digits that come with the package, and Fashion-MNIST as Debian has it."""

import gzip
import struct

import numpy as np
import pytest

from catzoo.hparams import RecipeError
from catzoo.zoo.studies import images
from catzoo.zoo.studies.images import FASHION, find_images, load_images, read_idx


def write_idx(path, images_NHW, magic=0x803, cut=None, more=b""):
    content = struct.pack(">4I", magic, *images_NHW.shape) + images_NHW.tobytes() + more
    path.write_bytes(gzip.compress(content[:cut]))
    return path


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (7, 28, 28), dtype=np.uint8)


def test_the_digits():
    digits_NHW = load_images("digits", 1_797)
    assert digits_NHW.shape == (1_797, 8, 8)
    assert (digits_NHW.min(), digits_NHW.max()) == (0, 16)
    assert len(np.unique(digits_NHW.reshape(1_797, 64), axis=0)) == 1_797  # no label contradicts another


def test_fashion_mnist(tmp_path, monkeypatch, pictures):
    monkeypatch.setitem(images.DATA, "fashion-mnist", write_idx(tmp_path / "images.gz", pictures))
    assert (load_images("fashion-mnist", 7) == pictures).all()
    assert (load_images("fashion-mnist", 3) == pictures[:3]).all()
    for count in (0, 8):
        with pytest.raises(RecipeError, match=f"images={count}: must be from 1 to 7"):
            load_images("fashion-mnist", count)


@pytest.mark.skipif(not FASHION.is_file(), reason="Debian's dataset-fashion-mnist is not installed")
def test_fashion_mnist_of_debian():
    assert load_images("fashion-mnist", 60_000).shape == (60_000, 28, 28)


def test_what_is_not_there_says_what_brings_it(tmp_path, monkeypatch):
    monkeypatch.setitem(images.DATA, "fashion-mnist", tmp_path / "none.gz")
    with pytest.raises(
        RecipeError, match=r"apt install dataset-fashion-mnist, or take data=digits"
    ) as caught:
        find_images("fashion-mnist")
    assert "\n" not in str(caught.value)
    with pytest.raises(RecipeError, match=r"unknown data='digit': .* did you mean digits\?"):
        find_images("digit")


def test_what_is_no_such_file(tmp_path, pictures):
    path = tmp_path / "images.gz"
    for damage in ({"magic": 0x801}, {"cut": -1}, {"cut": 5}, {"cut": 0}, {"more": b"1"}):
        with pytest.raises(RecipeError, match="is no idx file of images"):
            read_idx(write_idx(path, pictures, **damage))
    for content in (b"no gzip", gzip.compress(b"whole")[:-9]):
        path.write_bytes(content)
        with pytest.raises(RecipeError, match="cannot be read"):
            read_idx(path)
