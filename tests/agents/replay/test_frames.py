"""Stored frame by frame or whole, a replay holds the same transitions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from catzoo.agents.replay import FrameStore, Priorities, Replay
from catzoo.agents.replay import replay_buffer as module
from catzoo.agents.replay.window import Window
from rollouts_for_tests import Stacks

KEYS = ("observation", "action", "reward", "discount", "next_observation")


def make_pair(capacity, room=None, **options):
    """A replay of frames, whose ring has `room` places, and one of whole transitions."""
    with pytest.MonkeyPatch.context() as patch:
        if room is not None:
            patch.setattr(module, "ring_size", lambda capacity: room)
        framed = Replay(capacity, store="frames", **options)
    return framed, Replay(capacity, **options)


def live_slots(replay):
    window = replay.window
    return torch.arange(window.first, window.count) % replay.capacity


def assert_same(framed, whole):
    assert framed.window.count == whole.buffer.write_count
    assert len(framed) <= len(whole)
    if not len(framed):
        return
    slots = live_slots(framed)
    ours, theirs = framed[slots], whole[slots]
    for key in KEYS:
        assert torch.equal(ours[key], theirs[key]), key


SCENES = st.fixed_dictionaries(
    {
        "envs": st.integers(1, 4),
        "stack": st.integers(1, 4),
        "frame": st.sampled_from([(2, 4), (3, 3)]),
        "pad": st.sampled_from(["black", "repeat", "anything"]),
        "same_step": st.booleans(),
        "end": st.sampled_from([0.05, 0.3, 1.0]),
    }
)


@settings(max_examples=150, deadline=None)
@given(
    scene=SCENES,
    seed=st.integers(0, 10**6),
    n_step=st.integers(1, 4),
    times=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    capacity=st.integers(1, 40),
    room=st.integers(1, 80),
    cut=st.integers(0, 12),
)
def test_frames_and_whole_transitions_are_the_same(scene, seed, n_step, times, capacity, room, cut):
    env = Stacks(seed, **scene)
    framed, whole = make_pair(capacity, room, n_step=n_step)
    for turn, time in enumerate(times):
        if turn == cut:
            framed.cut()
            whole.cut()
            env.reset()
        rollout = env.rollout(time)
        framed.add(rollout)
        whole.add(rollout)
        assert_same(framed, whole)


@pytest.mark.parametrize("same_step", [True, False])
@pytest.mark.parametrize("n_step", [1, 3])
def test_nothing_is_lost_where_episodes_are_long(same_step, n_step):
    env = Stacks(0, envs=3, stack=4, pad="anything", same_step=same_step, end=0.01)
    framed, whole = make_pair(200, n_step=n_step)
    for _ in range(100):
        rollout = env.rollout(7)
        framed.add(rollout)
        whole.add(rollout)
    assert_same(framed, whole)
    assert len(framed) == len(whole) == 200


def test_a_live_transition_needs_no_overwritten_frame_and_a_dead_one_does():
    """Episodes of one step: two frames for each transition, so half of a ring of `capacity` places."""
    env = Stacks(0, envs=2, stack=4, pad="black", end=1.0, levels=200)
    framed, whole = make_pair(60, 60)
    for _ in range(50):
        rollout = env.rollout(3)
        framed.add(rollout)
        whole.add(rollout)
        assert_same(framed, whole)
    assert len(framed) == 30


@pytest.mark.parametrize("pad", ["black", "repeat"])
def test_frames_are_written_once(pad):
    env = Stacks(0, envs=2, stack=4, pad=pad, end=0.1, levels=200)
    store = FrameStore(10_000)
    steps = episodes = 0
    for _ in range(20):
        rollout = env.rollout(11)
        store.add(rollout)
        steps += rollout.numel()
        episodes += int(rollout["next", "done"].sum())
    still_to_begin = int(rollout["next", "done"][:, -1].sum())
    assert store.count == steps + episodes + env.envs - still_to_begin


def test_numbers_take_the_place_of_observations_and_the_rollout_stays_as_it_was():
    rollout = Stacks(0, end=0).rollout(5)
    before = rollout.clone()
    numbered = FrameStore(100).add(rollout)
    assert (rollout == before).all()
    assert numbered["observation"].shape == (2, 5)
    assert numbered["observation"].dtype == torch.int64
    assert torch.equal(numbered["observation"][:, 1:], numbered["next", "observation"][:, :-1])
    assert torch.equal(numbered["next", "reward"], rollout["next", "reward"])


@pytest.mark.parametrize("frame", [(2, 4), (3, 3)])
def test_observations_that_are_no_stacks_are_refused(frame):
    rollout = Stacks(0, frame=frame, end=0, levels=200).rollout(5)
    rollout["next", "observation"][1, 3, 0, 0, 0] += 1
    with pytest.raises(ValueError, match=r"replay\.store=frames needs frame stacks"):
        FrameStore(100).add(rollout)


@pytest.mark.parametrize("change", [lambda x: x.float(), lambda x: x[..., 0]])
def test_other_shapes_and_dtypes_are_refused(change):
    rollout = Stacks(0).rollout(5)
    rollout["observation"] = change(rollout["observation"])
    rollout["next", "observation"] = change(rollout["next", "observation"])
    with pytest.raises(ValueError, match=r"replay\.store=frames needs frame stacks .* not \[3, 2"):
        Replay(10, store="frames").add(rollout)


@pytest.mark.parametrize("priorities", [None, Priorities()])
def test_only_live_transitions_are_sampled(priorities):
    env = Stacks(3, envs=2, stack=2, end=1.0, levels=200)
    framed, whole = make_pair(40, 40, priorities=priorities)
    for _ in range(30):
        rollout = env.rollout(3)
        framed.add(rollout)
        whole.add(rollout)
        batch, index = framed.sample(32, 4)
        live = live_slots(framed)
        assert 0 < len(live) <= 20
        assert torch.isin(index, live).all()
        # What was forgotten is not brought back by a late update.
        framed.update_priority(torch.arange(40), torch.ones(40))
    seen = framed.sample(500, 1)[1]
    assert set(seen.flatten().tolist()) == set(live.tolist())
    assert torch.equal(batch.observation, whole[index.flatten()]["observation"].unflatten(0, (4, 32)))
    assert torch.equal(
        batch.next_observation, whole[index.flatten()]["next_observation"].unflatten(0, (4, 32))
    )


def test_another_number_of_environments_begins_anew():
    framed, whole = make_pair(50)
    for envs in (2, 3, 1):
        rollout = Stacks(envs, envs=envs).rollout(6)
        framed.add(rollout)
        whole.add(rollout)
    assert_same(framed, whole)


def brute_window(chunks, capacity, limits):
    """First living record after each chunk, by looking at all of them."""
    needs, first = [], 0
    for chunk, limit in zip(chunks, limits, strict=True):
        needs += chunk
        dead = [i for i, need in enumerate(needs) if need < limit]
        first = max(first, len(needs) - capacity, *(i + 1 for i in dead), 0)
        yield first


@settings(max_examples=200, deadline=None)
@given(
    chunks=st.lists(st.lists(st.integers(0, 50), max_size=7), max_size=12),
    capacity=st.integers(7, 20),
    data=st.data(),
)
def test_the_window_ends_after_the_newest_dead_record(chunks, capacity, data):
    limits = sorted(data.draw(st.lists(st.integers(0, 50), min_size=len(chunks), max_size=len(chunks))))
    window = Window(capacity)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("catzoo.agents.replay.window.BLOCK", 3)
        for chunk, limit, first in zip(chunks, limits, brute_window(chunks, capacity, limits), strict=True):
            window.extend(np.array(chunk, np.int64))
            before = window.first
            dead = window.expire(limit)
            assert window.first == first
            assert dead.tolist() == [i % capacity for i in range(before, first)]
