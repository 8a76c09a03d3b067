"""Folders that were sent: put in the place of older ones, whenever a kill comes."""

import pytest

from catzoo.zoo.launch.carried_folders import merge, put_back


@pytest.mark.parametrize("there", [True, False])
def test_what_a_kill_left_of_bringing_back_loses_nothing(tmp_path, there):
    root, folder = tmp_path / "runs", tmp_path / "runs" / "run"
    before = root / "run.before.tmp"
    before.mkdir(parents=True)
    (before / "file").write_text("old")
    if there:  # killed while the older one was removed
        folder.mkdir()
        (folder / "file").write_text("new")
    put_back(folder)
    assert (folder / "file").read_text() == ("new" if there else "old")
    before.mkdir()
    (before / "file").write_text("old")
    newer = tmp_path / "arrived" / "run"
    newer.mkdir(parents=True)
    (newer / "file").write_text("newest")
    merge(tmp_path / "arrived", root, folder, root / "run.log")
    assert (folder / "file").read_text() == "newest"
    assert not before.exists()
