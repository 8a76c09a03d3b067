"""Films: a file that decodes, pictures that show what happened, and nothing left behind on failure."""

import os
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import imageio.v3 as iio
import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from catzoo.hparams import RecipeError
from catzoo.zoo.catalogue.recipe_files import find_recipe
from catzoo.zoo.environments.making import make_env, stream_seed
from catzoo.zoo.folders.run_folder import Run
from catzoo.zoo.training.build import build_agent, build_env
from catzoo.zoo.training.weights import load_agent, save_weights
from catzoo.zoo.watch import film
from catzoo.zoo.watch.environment_views import SCREEN, Rendered, open_view, short_name
from catzoo.zoo.watch.film import play, watch
from catzoo.zoo.watch.step_picture import Caption, Episode, Picture, softmax, visible_bins


class Blank(gym.Env):
    """Takes a render mode, and draws nothing."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    observation_space = gym.spaces.Box(0, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 0.0, False, False, {}


class Blind(Blank):
    """Does not even take a render mode."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self):
        super().__init__()


def make_run(folder, env="CartPole-v1", loss="hl_gauss"):
    recipe = find_recipe("dqn", env, loss)
    run = Run(folder)
    run.path.mkdir(parents=True, exist_ok=True)
    run.save_recipe(recipe)
    made = build_env(recipe, 1)
    save_weights(run, build_agent(recipe, made), 0)
    made.close()
    return run.path


def record(run, max_steps=300):
    recipe, agent = load_agent(run)
    env, view = open_view(recipe)
    try:
        return recipe, agent, play(agent, env, view, 3, max_steps)
    finally:
        env.close()
        view.close()


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "cartpole")


@pytest.fixture
def synthetic():
    """Three steps in which the belief moves from the first bin to the last."""
    logits = np.full((3, 2, 30), -9.0, np.float32)
    for t, middle in enumerate((3, 14, 27)):
        logits[t, :, middle] = 9.0
    centers = np.arange(30) + 0.5
    episode = Episode(
        outputs=list(logits),
        values=list(softmax(logits) @ centers),
        actions=[0, 1, 0],
        rewards=[1.0, 1.0, 5.0],
        terminated=True,
    )
    for shade in (0, 100, 200):
        episode.add_frame(np.full((40, 60, 3), shade, np.uint8))
    return Picture(episode, Caption("DQN", "test", ("a", "b"), gamma=0.5, edges=np.arange(31.0)))


def test_an_mp4_decodes_and_has_a_picture_for_every_step(cartpole, tmp_path, monkeypatch):
    seen = []
    monkeypatch.chdir(tmp_path)  # ffmpeg would take what stands before the colon for a protocol
    out = Path("film: %d [x].mp4")
    film = watch(cartpole, out, max_steps=8, fps=5, progress=lambda *counts: seen.append(counts))
    frames = iio.imread(out.absolute())
    assert film == {"out": str(out), "steps": 8, "return": 8.0, "frames": 8 + 5}
    assert frames.shape == (13, 720, 1280, 3)
    assert iio.immeta(out.absolute())["fps"] == 5
    assert seen[0] == (1, 8)
    assert seen[-1] == (8, 8)
    assert os.listdir(tmp_path) == [out.name]


def test_the_film_is_that_of_the_seed(cartpole, tmp_path):
    films = [tmp_path / name for name in ("a.gif", "b.gif", "c.gif")]
    for out, seed in zip(films, (0, 0, 1), strict=True):
        watch(cartpole, out, seed=seed, max_steps=4)
    first, again, other = (out.read_bytes() for out in films)
    assert first == again
    assert first != other


def test_a_gif_skips_through_a_long_episode(cartpole, tmp_path, monkeypatch):
    monkeypatch.setattr("catzoo.zoo.watch.film.GIF_PICTURES", 4)
    out = tmp_path / "film.GIF"
    film = watch(cartpole, out, max_steps=9)
    with Image.open(out) as image:
        assert image.size == (800, 450)
        assert image.n_frames == film["frames"] == 3 + 1
        assert image.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
        image.seek(image.n_frames - 1)
        assert image.info["duration"] == 2000


def test_regression_has_curves_instead_of_a_distribution(tmp_path):
    run = make_run(tmp_path / "run", "Acrobot-v1", "mse")
    made = watch(run, tmp_path / "film.gif", max_steps=5)
    assert made["return"] == -5.0
    recipe, agent, episode = record(run, 5)
    shown = Picture(episode, film._caption(recipe, agent, ("-", "0", "+")))
    assert not hasattr(shown, "distribution")
    shown(4)
    assert len(shown.other_lines) == 3
    assert list(shown.chosen_line.get_ydata()) == [values.max() for values in episode.values]


def test_the_distribution_moves_while_the_rest_of_its_panel_stays(synthetic):
    first, middle, last = synthetic
    box = synthetic.distribution.get_window_extent()
    rows, columns = slice(720 - int(box.y1), 720 - int(box.y0)), slice(int(box.x0), int(box.x1))
    blue = [(shown[rows, columns] == (0, 114, 178)).all(axis=2) for shown in (first, middle, last)]
    positions = [np.flatnonzero(mask.any(axis=0)).mean() for mask in blue]
    assert positions[0] < positions[1] < positions[2]
    labels = slice(720 - int(box.y0) + 2, 720 - int(box.y0) + 30)
    np.testing.assert_array_equal(first[labels, columns], last[labels, columns])
    np.testing.assert_array_equal(first, synthetic(0))


def test_a_picture_shows_the_frame_before_the_action_and_the_value_decoded(synthetic):
    synthetic(1)
    left, top, width, height = synthetic.box
    assert (synthetic(1)[top : top + height, left : left + width] == 100).all()
    assert synthetic.value_line.get_xdata()[0] == pytest.approx(14.5, abs=1e-3)
    assert synthetic.step_text.get_text() == "1"
    assert synthetic.score_text.get_text() == "1"
    synthetic(2, over=True)
    assert synthetic.step_text.get_text() == "3"
    assert synthetic.score_text.get_text() == "7"


def test_returns_that_followed():
    episode = Episode(actions=[0] * 3, rewards=[1.0, 1.0, 5.0], terminated=True)
    np.testing.assert_allclose(episode.returns(0.5, None), [2.75, 3.5, 5.0])
    np.testing.assert_allclose(episode.returns(0.5, 1.0), [1.75, 1.5, 1.0])
    episode.terminated = False
    assert np.isnan(episode.returns(0.5, None)).all()
    np.testing.assert_allclose(episode.returns(0.1, None), [1.15, 1.5, np.nan])


def test_visible_bins_hold_all_mass_and_every_return():
    probs = np.zeros((2, 100))
    probs[0, 40] = probs[1, 45] = 1.0
    edges = np.arange(101.0)
    first, last = visible_bins(probs, np.array([np.nan]), edges)
    assert first <= 38
    assert last >= 47
    assert last - first < 30
    assert visible_bins(probs, np.array([60.5]), edges)[1] >= 62
    assert visible_bins(probs, np.array([1.0, 99.0]), edges) == (0, 99)
    assert visible_bins(np.full((1, 5), np.nan), np.array([np.nan]), np.arange(6.0)) == (0, 4)


def test_weights_that_diverged_still_make_a_film(cartpole, tmp_path):
    recipe, agent, episode = record(cartpole, 3)
    episode.outputs = [np.full_like(outputs, np.nan) for outputs in episode.outputs]
    episode.values = [np.full_like(values, np.nan) for values in episode.values]
    shown = Picture(episode, film._caption(recipe, agent, ("l", "r")))
    assert shown(2).shape == (720, 1280, 3)


def test_play_stops_at_the_end_and_never_shows_the_next_episode(cartpole):
    _, agent, episode = record(cartpole)
    env = make_env("CartPole-v1", 1)
    env.reset(seed=3)
    for t, action in enumerate(episode.actions):
        *_, terminated, truncated, _ = env.step(np.array([action]))
        assert (terminated[0] or truncated[0]) == (t == len(episode) - 1)
    assert episode.terminated
    assert len(episode.frames) == len(episode.outputs) == len(episode) == sum(episode.rewards)
    greedy = [int(agent.value_loss.decode(torch.from_numpy(each)).argmax()) for each in episode.outputs]
    assert greedy == episode.actions


def test_minatar_is_coloured_by_channel(tmp_path):
    pytest.importorskip("minatar")
    run = make_run(tmp_path / "run", "MinAtar/Breakout")
    recipe, _, episode = record(run, 20)
    frame = episode.frame(3)
    assert frame.shape == (400, 400, 3)
    assert len(np.unique(frame.reshape(-1, 3), axis=0)) == 6  # board, lines, paddle, ball, trail, bricks
    env, view = open_view(recipe)
    assert view.actions == ["–", "←", "→"]
    observation, _ = env.reset(seed=3)
    empty = ~observation[0].any(axis=2)
    assert (view.frame(observation[0])[20::40, 20::40][empty] == (32, 38, 46)).all()
    env.close()
    assert watch(run, tmp_path / "film.gif", max_steps=3)["steps"] == 3


def test_both_atari_emulators_stay_in_step():
    env = make_env("ALE/Breakout-v5", 1)
    screen = make_env("ALE/Breakout-v5", 1, SCREEN)
    random = np.random.default_rng(0)
    seed = stream_seed(0, "watch ALE/Breakout-v5")
    _, ours = env.reset(seed=seed)
    _, theirs = screen.reset(seed=seed)
    episodes = 0
    for _ in range(300):
        action = random.integers(4, size=1)
        _, reward, terminated, truncated, ours = env.step(action)
        seen, *outcome, theirs = screen.step(action)
        assert [reward, terminated, truncated] == outcome
        for key in ("lives", "frame_number", "episode_frame_number"):
            np.testing.assert_array_equal(ours[key], theirs[key])
        episodes += int(terminated[0])
    assert episodes >= 1
    assert seen.shape == (1, 1, 210, 160, 3)
    env.close()
    screen.close()


def test_variants_of_atari_show_their_own_screen(tmp_path):
    run = make_run(tmp_path / "run", "ALE/Breakout-v5?mode=44&difficulty=1", "c51")
    recipe, _, episode = record(run, 10)
    assert episode.shape == (210, 160, 3)
    assert any((episode.frame(0) != episode.frame(t)).any() for t in range(1, 10))
    env, view = open_view(recipe)
    assert (view.actions, view.fps) == (["–", "fire", "→", "←"], 15)
    env.close()


def test_atari_shows_the_console_screen(tmp_path):
    run = make_run(tmp_path / "run", "ALE/Breakout-v5", "c51")
    recipe, _, episode = record(run, 30)
    assert episode.shape == (210, 160, 3)
    assert any((episode.frame(0) != episode.frame(t)).any() for t in range(1, 30))
    assert np.ptp(episode.frame(29).astype(int), axis=2).max() > 50  # in colour
    env, view = open_view(recipe)
    assert view.actions == ["–", "fire", "→", "←"]
    assert view.fps == 15
    view.reset(1)
    with pytest.raises(RuntimeError, match="parted"):
        view.follow(0, reward=99.0)
    env.close()
    view.close()


@pytest.mark.parametrize(
    ("action", "short"),
    [("UPRIGHTFIRE", "↗\nfire"), ("FIRE", "fire"), ("DOWN", "↓"), ("NOOP", "–"), ("Jump", "jump")],
)
def test_action_names(action, short):
    assert short_name(action) == short


@pytest.mark.parametrize("name", ["film.avi", "film", "film.mp4.txt"])
def test_other_files_are_refused_before_anything_is_loaded(name, tmp_path):
    with pytest.raises(RecipeError, match=r"\.mp4 or \.gif") as caught:
        watch(tmp_path / "no run", tmp_path / name)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.gif").mkdir()
    with pytest.raises(RecipeError, match="cannot be written"):
        watch(tmp_path / "no run", tmp_path / "file" / "film.gif")
    with pytest.raises(RecipeError, match="is a folder"):
        watch(tmp_path / "no run", tmp_path / "folder.gif")
    with pytest.raises(RecipeError, match="no such folder"):
        watch(tmp_path / "no run", tmp_path / "new" / "film.gif")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.gif"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RecipeError, match="cannot be written"):
        watch(tmp_path / "no run", tmp_path / "film.gif")


@pytest.mark.parametrize(("options", "named"), [({"max_steps": 0}, "max_steps=0"), ({"fps": 0}, "fps=0")])
def test_numbers_out_of_range(cartpole, tmp_path, options, named):
    with pytest.raises(RecipeError, match=named):
        watch(cartpole, tmp_path / "film.gif", **options)


@pytest.mark.parametrize("suffix", ["gif", "mp4"])
def test_a_failure_leaves_the_old_film_and_nothing_else(cartpole, tmp_path, suffix):
    out = tmp_path / f"film.{suffix}"
    out.write_text("an older film")

    def stop(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(cartpole, out, max_steps=6, progress=stop)
    assert out.read_text() == "an older film"
    assert os.listdir(tmp_path) == [out.name]


def test_a_full_disk_is_one_line(cartpole, tmp_path, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(RecipeError, match="No space left"):
        watch(cartpole, tmp_path / "film.gif", max_steps=2)
    assert not list(tmp_path.iterdir())


def test_a_broken_encoder_is_one_line(cartpole, tmp_path, monkeypatch):
    import imageio_ffmpeg

    monkeypatch.setattr(imageio_ffmpeg._io, "get_ffmpeg_exe", lambda: "/bin/false")
    with pytest.raises(RecipeError, match="cannot be written") as caught:
        watch(cartpole, tmp_path / "film.mp4", max_steps=30)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [Blank, Blind])
def test_environments_that_cannot_draw(kind, tmp_path):
    name = f"{kind.__name__}Film-v0"
    gym.register(name, kind, max_episode_steps=5)
    try:
        run = make_run(tmp_path / "run", name)
        with pytest.raises(RecipeError, match=f"{name}: cannot draw itself") as caught:
            watch(run, tmp_path / "film.gif")
    finally:
        del gym.registry[name]
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def views_of(frames):
    """What a film shows of an environment that renders these, one after another."""
    single = SimpleNamespace(unwrapped=None)
    left = list(frames)
    view = Rendered("env", SimpleNamespace(metadata={}, envs=[single], render=lambda: (left.pop(0),)))
    return [view.frame(None) for _ in frames]


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
def test_a_grey_of_100_is_shown_as_it_is(kind, shape):
    for frame in (np.full(shape, 100, kind), [np.zeros(shape, kind), np.full(shape, 100, kind)]):
        (seen,) = views_of([frame])
        assert seen.shape == (5, 7, 3)
        assert seen.dtype == np.uint8
        assert (seen == 100).all()


def test_what_white_is():
    bright, dark = np.full((2, 2, 3), 0.4), np.full((2, 2, 3), 200.0)
    assert [int(seen[0, 0, 0]) for seen in views_of([bright, bright])] == [102, 102]
    assert [int(seen[0, 0, 0]) for seen in views_of([dark, bright])] == [200, 0]  # white is 255 there
    assert views_of([np.array([[True, False]])])[0][0, :, 1].tolist() == [255, 0]
    assert views_of([np.array([[np.nan, np.inf, -5.0]])])[0][0, :, 1].tolist() == [0, 255, 0]


@pytest.mark.parametrize(
    "frame", [None, [], "text", np.zeros(5), np.zeros((5, 0, 3)), np.zeros((5, 5, 2)), np.zeros((2, 2), "O")]
)
def test_what_is_no_picture(frame):
    with pytest.raises(RecipeError, match=r"env: cannot draw itself.*render\(\) gives") as caught:
        views_of([frame])
    assert "\n" not in str(caught.value)


def test_frames_that_change_their_size(synthetic):
    episode = synthetic.episode
    episode.frames.clear()
    episode.shape = ()
    for height, width in ((1, 301), (11, 5), (40, 60)):
        episode.add_frame(np.zeros((height, width, 3), np.uint8))
    assert episode.shape == (40, 301, 3)
    for t, (height, width) in enumerate(((1, 301), (11, 5), (40, 60))):
        assert (episode.frame(t) == 0).sum() == height * width * 3
    assert (episode.frame(1)[14:25, 148:153] == 0).all()
    assert Picture(episode, synthetic.caption)(1).shape == (720, 1280, 3)


def test_a_line_has_a_film():
    episode = Episode(outputs=[np.zeros((2, 1))], values=[np.zeros(2)], actions=[0], rewards=[1.0])
    episode.add_frame(np.zeros((1, 3001, 3), np.uint8))
    assert Picture(episode, Caption("DQN", "test", ("a", "b"), gamma=0.5))(0).shape == (720, 1280, 3)


def test_the_own_style_does_not_leak(synthetic):
    before = dict(matplotlib.rcParams)
    Picture(synthetic.episode, synthetic.caption)(0)
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("env", "options", "camera"),
    [
        ("HalfCheetah-v5", {}, "track"),
        ("HalfCheetah-v5", {"default_camera_config": {"distance": 2.0}}, None),
        ("CartPole-v1", {}, None),
    ],
)
def test_the_camera_goes_along_with_a_body_that_runs(env, options, camera, monkeypatch):
    asked = []

    def make(name, count, options, **render):
        asked.append(render)
        return make_env("CartPole-v1", count, render_mode="rgb_array")

    monkeypatch.setattr("catzoo.zoo.watch.environment_views.make_env", make)
    recipe = SimpleNamespace(env=env, env_options=options, games=[env])
    made, _ = open_view(recipe)
    made.close()
    assert asked == [{"render_mode": "rgb_array"} | ({"camera_name": camera} if camera else {})]
