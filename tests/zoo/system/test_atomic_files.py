"""A file is there whole, or as it was before."""

import pytest

from catzoo.zoo.system.atomic_files import published


def test_what_others_write_is_there_when_it_is_complete(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "film.MP4").write_text("old")
    with published((tmp_path / "film.MP4").relative_to(tmp_path)) as file:
        file.write_text("new")
        assert file.suffix == ".mp4"
        assert (tmp_path / "film.MP4").read_text() == "old"
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
    assert (tmp_path / "film.MP4").read_text() == "new"
    assert {path.name for path in tmp_path.rglob("*")} == {"film.MP4", "elsewhere"}


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_after_an_error_all_is_as_it_was(tmp_path, error):
    (tmp_path / "a.onnx").write_text("old")

    def write(file):
        file.write_text("half")
        raise error

    with pytest.raises(error), published(tmp_path / "a.onnx") as file:
        write(file)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
