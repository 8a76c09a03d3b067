"""A sealed folder is whole, or says what is not."""

import hashlib
import json
import random

import pytest

from catzoo.agents.checkpoints.seal import SEAL, BrokenSealError, digest, read_seal, seal, verify


@pytest.fixture
def folder(tmp_path):
    random.seed(0)
    for name in ("a.bin", "b.bin", "inner/c.bin"):
        path = tmp_path / "sealed" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.randbytes(1000))
    seal(tmp_path / "sealed", {"step": 7})
    return tmp_path / "sealed"


def test_it_says_what_it_was_sealed_with(folder):
    sealed = verify(folder)
    assert sealed["step"] == 7
    assert set(sealed["files"]) == {"a.bin", "b.bin", "inner/c.bin"}
    assert sealed["files"]["a.bin"] == digest(folder / "a.bin")


@pytest.mark.parametrize("name", ["a.bin", "inner/c.bin", SEAL])
@pytest.mark.parametrize("harm", ["flip", "truncate", "lengthen", "delete", "empty"])
def test_any_harm_is_seen(folder, name, harm):
    path = folder / name
    content = bytearray(path.read_bytes())
    if harm == "delete":
        path.unlink()
    else:
        content[len(content) // 2] ^= 16
        changed = {"flip": content, "truncate": content[:-1], "lengthen": content + b"x", "empty": b""}
        path.write_bytes(changed[harm])
    with pytest.raises(BrokenSealError):
        verify(folder)


def test_files_that_changed_places_are_seen(folder):
    first, second = folder / "a.bin", folder / "b.bin"
    first.rename(folder / "x")
    second.rename(first)
    (folder / "x").rename(second)
    with pytest.raises(BrokenSealError, match=r"a\.bin was changed"):
        verify(folder)


def test_known_digests_are_taken_as_they_are(folder):
    seal(folder, {}, {"a.bin": (1000, "not looked at")})
    assert read_seal(folder)["files"]["a.bin"] == (1000, "not looked at")
    with pytest.raises(BrokenSealError, match=r"a\.bin was changed"):
        verify(folder)


def test_a_seal_may_not_name_files_outside(folder):
    seal(folder, {"step": 1})
    outside = folder.parent / "outside.bin"
    outside.write_bytes(b"x")
    text = json.dumps({"files": {"../outside.bin": digest(outside)}})
    (folder / SEAL).write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n")
    with pytest.raises(BrokenSealError, match="outside"):
        verify(folder)


@pytest.mark.usefixtures("at_the_bottom")
@pytest.mark.parametrize("text", ["[]", "{}", '{"files": []}', '{"files": {"a": 1}}', "[" * 100_000])
def test_a_seal_of_another_kind(folder, text):
    (folder / SEAL).write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n")
    with pytest.raises(BrokenSealError, match="another kind"):
        verify(folder)
