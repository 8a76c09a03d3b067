"""What a journal links into a checkpoint is the ring as it was then, whatever came after."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from catzoo.agents.checkpoints.journal import NAME, Journal
from catzoo.agents.checkpoints.seal import digest
from catzoo.agents.replay.frames import ring_rows


class Numbers:
    """A ring whose row n holds n."""

    def __init__(self, size):
        self.size, self.count = size, 0
        self.values = torch.full((size,), -1)

    def add(self, number):
        for _ in range(number):
            self.values[self.count % self.size] = self.count
            self.count += 1

    def row_bytes(self):
        return 8 if self.count else 0

    def rows(self, start, stop):
        assert self.count - self.size <= start < stop <= self.count
        return {"values": ring_rows(self.values, start, stop, self.size)}

    def put(self, start, rows):
        for number, value in enumerate(rows["values"].tolist(), start):
            if number >= self.count - self.size:
                self.values[number % self.size] = value


def read(folder, size, count):
    ring = Numbers(size)
    ring.count = count
    journal = Journal(folder.parent / f"read {folder.name}", {"numbers": ring})
    journal.digests = {path.name: digest(path) for path in folder.iterdir()}
    journal.restore(folder)
    return ring, journal


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 40),
    segment=st.integers(1, 12),
    turns=st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=12),
)
def test_every_checkpoint_is_the_ring_of_its_time(size, segment, turns, tmp_path_factory):
    folder = tmp_path_factory.mktemp("journal")
    ring = Numbers(size)
    journal = Journal(folder / "journal", {"numbers": ring}, segment_bytes=8 * segment)
    saved = []
    for index, (number, checkpoint) in enumerate(turns):
        ring.add(number)
        journal.spill(everything=checkpoint)
        if checkpoint:
            journal.link_into(folder / str(index))
            saved.append((folder / str(index), ring.count, ring.values.clone()))
    for place, count, values in saved:
        again, taken_up = read(place, size, count)
        assert torch.equal(again.values, values)
        again.add(size + 3)  # the journal goes on from there
        taken_up.spill(everything=True)
        taken_up.link_into(place.parent / f"{place.name} later")
        later, _ = read(place.parent / f"{place.name} later", size, again.count)
        assert torch.equal(later.values, again.values)


def test_many_small_checkpoints_make_few_files(tmp_path):
    ring = Numbers(10_000)
    journal = Journal(tmp_path / "journal", {"numbers": ring}, segment_bytes=8 * 512)
    written = 0
    for _ in range(600):
        ring.add(3)
        journal.spill(everything=True)
        written += journal.all()[-1].stop - journal.all()[-1].start
    assert len(journal.all()) <= 1800 // 512 + 12
    assert written <= 1800 * 12  # each row is written about log2(512) times
    assert len(list((tmp_path / "journal").iterdir())) == len(journal.all())


def test_what_is_overwritten_leaves_the_disk(tmp_path):
    ring = Numbers(100)
    journal = Journal(tmp_path / "journal", {"numbers": ring}, segment_bytes=80)
    for _ in range(50):
        ring.add(10)
        journal.spill()
    assert len(journal.all()) <= 11
    assert len(list((tmp_path / "journal").iterdir())) <= 11


def test_without_hard_links_it_copies(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    ring = Numbers(10)
    ring.add(7)
    journal = Journal(tmp_path / "journal", {"numbers": ring})
    journal.spill(everything=True)
    journal.link_into(tmp_path / "saved")
    assert read(tmp_path / "saved", 10, 7)[0].values[:7].tolist() == list(range(7))


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_missing_rows_are_named(tmp_path, lost):
    ring = Numbers(30)
    journal = Journal(tmp_path / "journal", {"numbers": ring}, segment_bytes=80)
    ring.add(30)
    journal.spill()
    journal.link_into(tmp_path / "saved")
    sorted((tmp_path / "saved").iterdir())[lost].unlink()
    with pytest.raises(ValueError, match=r"does not follow|are missing"):
        read(tmp_path / "saved", 30, 30)


def test_names_are_strict():
    assert NAME.fullmatch("frames-000000000001-000000000002.safetensors")
    for name in ("../x-1-2.safetensors", "x-1-2.safetensors.tmp", "x--1-2.safetensors", "x-1-٢.pkl"):
        assert not NAME.fullmatch(name)
