"""One Atari console with its switches, on ALE's own interface.

`AtariVectorEnv` knows neither modes nor difficulties, and its simulators cannot be saved. Here both can be;
frames, rewards and ends are the same to the byte, with the same seed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

import gymnasium as gym
import numpy as np

STILL, FIRE = 0, 1
"""Numbers of two of ALE's actions."""
FRAMES_PER_SECOND = 60
NOT_SAVED = ("miniature_golf", "pitfall2", "qbert", "tetris")
"""Games of which ALE up to 0.12.1 saves too little to go on exactly (its pull request 732)."""


def boot(game: str) -> Any:
    """ALE's interface with a game in it, by ALE's name for it, such as `space_invaders`."""
    import ale_py
    from ale_py import roms

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setFloat("repeat_action_probability", 0.0)  # the console makes them stick
    ale.loadROM(roms.get_rom_path(game))
    return ale


@cache
def allowed_switches(game: str) -> Mapping[str, Collection[int]]:
    """What a game's `mode` and `difficulty` can be."""
    ale = boot(game)
    return {"mode": ale.getAvailableModes(), "difficulty": ale.getAvailableDifficulties()}


class Words:
    """A random stream of 32-bit words as ALE has them: C++'s `std::mt19937`, which NumPy has as MT19937."""

    BITS = 32

    def __init__(self) -> None:
        bits = np.random.MT19937()
        self.stream = np.random.RandomState(bits)  # whose old way of seeding is C++'s
        self.seed, self.draw = self.stream.seed, bits.random_raw

    def below(self, limit: int) -> int:
        """A whole number below `limit`, as `std::uniform_int_distribution` of GCC's library draws it."""
        product = self.draw() * limit
        while product % 2**self.BITS < 2**self.BITS % limit:
            product = self.draw() * limit
        return product >> self.BITS

    def state_dict(self) -> dict[str, Any]:
        """Where the stream is."""
        from catzoo.agents.collecting.simulators import random_state

        return random_state(self.stream)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken; ValueError if that cannot be."""
        from catzoo.agents.collecting.simulators import generator

        self.stream.set_state(generator(state["kind"], state["state"]).get_state(legacy=False))


class AtariConsole(gym.Env):
    """A game of Atari's in a mode and a difficulty; observations are stacks of frames, oldest first.

    Args:
        game: its name in ALE, such as `space_invaders`.
        mode, difficulty: what the game has, see `allowed_switches`; None: as the console comes up.
        life_loss_info: a lost life terminates an episode, and the `reset` after it goes on with the game,
            with `GOES_ON` in its info.
        render_mode: `rgb_array`, the console's screen, or None.
        others: as `AtariVectorEnv` has them.

    Raises:
        ValueError: frames larger than the screen, or no probability.
    """

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012, as gym.Env has it

    def __init__(
        self,
        game: str,
        *,
        mode: int | None = None,
        difficulty: int | None = None,
        img_height: int = 84,
        img_width: int = 84,
        grayscale: bool = True,
        stack_num: int = 4,
        frameskip: int = 4,
        maxpool: bool = True,
        repeat_action_probability: float = 0.25,
        full_action_space: bool = False,
        noop_max: int = 0,
        use_fire_reset: bool = False,
        episodic_life: bool = False,
        life_loss_info: bool = False,
        reward_clipping: bool = False,
        max_num_frames_per_episode: int = 108_000,
        render_mode: str | None = None,
    ) -> None:
        from catzoo.agents.collecting.collector import GOES_ON  # brings torch
        from catzoo.zoo.environments.area_resize import AreaResize

        self.game, self.ale = game, boot(game)
        self.rom, self.switches = self.ale.getString("rom_file"), (mode, difficulty)
        actions = self.ale.getLegalActionSet() if full_action_space else self.ale.getMinimalActionSet()
        self.legal = [action.value for action in actions]
        self.names = [action.name for action in actions]
        screen = self.ale.getScreenDims()
        if not 0 <= repeat_action_probability <= 1:
            raise ValueError(f"repeat_action_probability={repeat_action_probability}: must be from 0 to 1")
        self.resize = AreaResize(screen, (img_height, img_width))
        colors = () if grayscale else (3,)
        self.read_screen = self.ale.getScreenGrayscale if grayscale else self.ale.getScreenRGB
        self.screens = np.zeros((2, *screen, *colors), np.uint8)
        self.stack = np.zeros((stack_num, img_height, img_width, *colors), np.uint8)
        self.frameskip, self.maxpool, self.render_mode = frameskip, maxpool, render_mode
        self.sticky = float(np.float32(repeat_action_probability)) * 2**Words.BITS
        self.noop_max, self.fires = noop_max, use_fire_reset and FIRE in self.legal
        self.new_game_by_life, self.end_by_life = episodic_life, episodic_life or life_loss_info
        self.clips, self.most_frames = reward_clipping, max_num_frames_per_episode
        self.lives = self.frames = self.held = 0
        self.goes_on, self.goes_on_info = False, {GOES_ON: True}
        self.action_space = gym.spaces.Discrete(len(self.legal))
        self.observation_space = gym.spaces.Box(0, 255, self.stack.shape, np.uint8)
        self.metadata = {**self.metadata, "render_fps": max(round(FRAMES_PER_SECOND / frameskip), 1)}
        self.sticks, self.noops = Words(), Words()
        self.seeded = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        """A new game; or, behind a life that was an end to learn from alone, the one that goes on."""
        super().reset(seed=seed)
        if seed is None and self.goes_on:
            self.goes_on = False
            return self.stack.copy(), self.goes_on_info
        if seed is not None or not self.seeded:
            self._insert(int(self.np_random.integers(2**31)) if seed is None else seed)
        self._begin()
        self.stack[:] = 0
        self.read_screen(self.screens[0])
        self.screens[1] = 0
        self._look()
        self.frames, self.lives, self.goes_on = 0, self.ale.lives(), False
        return self.stack.copy(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        """`frameskip` frames with one action, or fewer at the episode's end."""
        ale, button, reward = self.ale, self.legal[action], 0
        for left in range(self.frameskip, 0, -1):
            reward += self._act(button)
            self.frames += 1
            over, lives = ale.game_over(), ale.lives()
            lost = 0 < lives < self.lives
            if ended := over or self.frames >= self.most_frames or (self.new_game_by_life and lost):
                break
            if left <= 2:
                self.read_screen(self.screens[left - 1])
        self._look()
        self.lives = lives
        terminated = over or (self.end_by_life and lost)
        self.goes_on = terminated and not ended
        truncated = self.frames >= self.most_frames and not terminated
        return self.stack.copy(), float(np.sign(reward) if self.clips else reward), terminated, truncated, {}

    def render(self) -> np.ndarray:
        """The console's screen, uint8 [H, W, 3]."""
        return self.ale.getScreenRGB()

    def get_action_meanings(self) -> list[str]:
        """The names of the actions, in their order."""
        return self.names

    def _insert(self, seed: int) -> None:
        """The cartridge anew, the switches set: all that comes is decided by the seed."""
        self.ale.setInt("random_seed", seed)
        self.ale.loadROM(self.rom)
        mode, difficulty = self.switches
        if mode is not None:
            self.ale.setMode(mode)
        if difficulty is not None:
            self.ale.setDifficulty(difficulty)
        self.sticks.seed(seed)
        self.noops.seed(seed)
        self.seeded = True

    def _begin(self) -> None:
        self.ale.reset_game()
        self.held = STILL
        if self.fires:
            self._act(FIRE)
        for _ in range(self.noops.below(max(self.noop_max, 1)) - self.fires):
            self._act(STILL)
            if self.ale.game_over():
                self.ale.reset_game()
                self.held = STILL

    def _act(self, button: int) -> int:
        """One frame. ALE's own sticky actions, drawn here: it saves its stream, but not the button held."""
        if self.sticks.draw() >= self.sticky:
            self.held = button
        self.sticks.draw()  # for the second player
        return self.ale.act(self.held)

    def _look(self) -> None:
        """Adds what the last two frames show to the stack; a game's last step may show frames before it."""
        if self.maxpool:
            np.maximum(*self.screens, out=self.screens[0])
        self.stack[:-1] = self.stack[1:]
        self.stack[-1] = self.resize(self.screens[0])

    def state_dict(self) -> dict[str, Any]:
        """All that decides its future: the console, random streams, frames, counts.

        Raises:
            UnknownStateError: ALE cannot save this game.
        """
        from catzoo.agents.collecting.simulators import UnknownStateError

        if self.game in NOT_SAVED:
            raise UnknownStateError(self.game)
        return {
            "console": np.frombuffer(self.ale.cloneState().serialize(), np.uint8),
            "sticks": self.sticks.state_dict(),
            "noops": self.noops.state_dict(),
            "screens": self.screens.copy(),
            "stack": self.stack.copy(),
            "counts": [self.held, self.frames, self.lives],
            "flags": [self.seeded, self.goes_on],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken; ValueError if that was another game."""
        from ale_py import ALEState

        if any(state[name].shape != getattr(self, name).shape for name in ("screens", "stack")):
            raise ValueError("the saved game has frames of another size")
        try:
            self.ale.restoreState(ALEState(state["console"].tobytes()))
        except Exception as error:  # whatever C++ throws
            raise ValueError("the saved game is another one, or of another version of ALE") from error
        self.sticks.load_state_dict(state["sticks"])
        self.noops.load_state_dict(state["noops"])
        self.screens[:], self.stack[:] = state["screens"], state["stack"]
        self.held, self.frames, self.lives = map(int, state["counts"])
        if self.held not in (STILL, FIRE, *self.legal):
            raise ValueError(f"the saved game holds a button {self.held}, which there is not")
        self.seeded, self.goes_on = map(bool, state["flags"])
