"""MuJoCo as a library: missing, warning, drawing."""

import ctypes.util
import sys

import numpy as np
import pytest

from catzoo.hparams import RecipeError
from catzoo.zoo.environments.making import make_env

pytestmark = pytest.mark.simulators


def test_missing_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(RecipeError, match=r"pip install 'catzoo\[mujoco\]'"):
        make_env("HalfCheetah-v5", 1)


def test_warnings_are_said_once_and_write_no_file(tmp_path, monkeypatch, capfd):
    pytest.importorskip("mujoco")
    monkeypatch.chdir(tmp_path)
    env = make_env("HalfCheetah-v5", 1)  # whose model has something deprecated
    env.reset(seed=0)
    for _ in range(2):
        env.envs[0].unwrapped.data.qvel[:] = 1e20
        with pytest.raises(FloatingPointError):
            env.step(np.zeros((1, 6)))
    out, err = capfd.readouterr()
    assert out.count("MuJoCo: ") == 1
    assert "unstable" in out
    assert "deprecated" not in out + err
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there are screens")
@pytest.mark.parametrize("name", ["HalfCheetah-v5", "dmc/cheetah-run"])
def test_drawing_without_a_screen_names_the_package(monkeypatch, name):
    pytest.importorskip("mujoco")
    if name.startswith("dmc/"):
        pytest.importorskip("dm_control")
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    with pytest.raises(RecipeError, match="apt install libosmesa6"):
        make_env(name, 1, render_mode="rgb_array")
    make_env(name, 1)  # is not drawn
    monkeypatch.setenv("MUJOCO_GL", "egl")
    make_env(name, 1, render_mode="rgb_array")  # as was asked for


@pytest.mark.skipif(ctypes.util.find_library("OSMesa") is None, reason="needs libosmesa6")
@pytest.mark.parametrize("name", ["HalfCheetah-v5", "dmc/cheetah-run"])
def test_frames_without_a_screen(monkeypatch, name):
    pytest.importorskip("mujoco")
    if name.startswith("dmc/"):
        pytest.importorskip("dm_control")
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    env = make_env(name, 1, render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()[0]
    for _ in range(20):
        env.step(np.ones((1, 6)))
    second = env.render()[0]
    env.close()
    assert first.shape == second.shape == (480, 480, 3)
    assert first.std() > 10
    assert (first != second).any()


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "Hopper-v4"])
def test_a_simulation_that_diverges_is_named(name):
    pytest.importorskip("mujoco")
    env = make_env(name, 1)
    env.reset(seed=0)
    still = np.zeros((1, env.single_action_space.shape[0]))
    env.step(still)
    env.envs[0].unwrapped.data.qvel[:] = 1e20
    with pytest.raises(FloatingPointError, match=f"^{name}: the simulation diverged"):
        env.step(still)
    env.reset(seed=0)
    env.step(still)
