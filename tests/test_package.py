"""The wheel and the sdist have everything, and the zoo runs from the wheel alone."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("build")
pytest.importorskip("hatchling")
ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("agents", "hparams", "kernels", "losses", "zoo")
KINDS = {".py", ".yaml", ".csv", ".json", ".safetensors", ".txt", ".png", ".md", ".typed", ".j2", ".css"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with both; the wheel is made from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


def files_of(room):
    listed = subprocess.run(["git", "ls-files", room], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.splitlines() if Path(name).suffix in KINDS}


def test_both_have_every_file_of_every_room(built):
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    packed = set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames()}
    for room in ROOMS:
        files = files_of(room)
        assert len(files) > 10
        assert {f"catzoo/{name}" for name in files} <= packed
        assert files <= shipped
    assert max(wheel.stat().st_size, sdist.stat().st_size) < 20e6
    assert not any(name.endswith(".pyc") for name in packed)


def test_the_zoo_runs_from_the_wheel(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "COLUMNS": "200"}
    script = "import catzoo; from catzoo.zoo.cli.main import main; print(catzoo.__file__); main(['list'])"
    done = subprocess.run([sys.executable, "-P", "-c", script], cwd=tmp_path, env=environment,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "site"))
    assert "hl_gauss" in done.stdout
    assert "MinAtar/Asterix-v1" in done.stdout  # its results too
