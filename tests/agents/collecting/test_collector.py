"""The collector's batches hold real transitions only, under both autoreset modes."""

import gymnasium as gym
import pytest
from gymnasium.vector import AutoresetMode
from torchrl.collectors import BaseCollector

from catzoo.agents import VectorCollector
from environments_for_tests import Left


def transitions(env, batches=4, time=6):
    """Valid (start, reward, end, terminated, truncated) of each environment, in order."""
    collector = VectorCollector(env, Left(), frames_per_batch=time * env.num_envs)
    seen = [[] for _ in range(env.num_envs)]
    for _ in range(batches):
        batch = collector.rollout()
        assert batch.shape == (env.num_envs, time)
        for i in range(env.num_envs):
            for t in range(time):
                step = batch[i, t]
                if step["collector", "mask"]:
                    following = step["next"]
                    seen[i].append(
                        (
                            step["observation"].item(),
                            following["reward"].item(),
                            following["observation"].item(),
                            bool(following["terminated"]),
                            bool(following["truncated"]),
                        )
                    )
                    assert bool(following["done"]) == (seen[i][-1][3] or seen[i][-1][4])
    return seen, collector


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
@pytest.mark.parametrize(("lengths", "limit"), [((5, 7), None), ((1, 2), None), ((50, 50), 3), ((4, 4), 4)])
def test_every_transition_is_one_of_the_environments_own(corridor, mode, lengths, limit):
    seen, collector = transitions(corridor(lengths, limit, mode))
    assert collector.frames == sum(map(len, seen))
    for length, steps in zip(lengths, seen, strict=True):
        end = min(length, limit or length)
        for k, (start, reward, following, terminated, truncated) in enumerate(steps):
            t = k % end
            assert (start, reward, following) == (t, t + 1, t + 1)
            assert terminated == (t + 1 == length)
            assert truncated == (limit is not None and t + 1 == limit)


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_scores_are_those_of_whole_episodes(corridor, mode):
    _, collector = transitions(corridor((3, 4), None, mode), batches=6)
    episodes = collector.take_finished()
    assert {(e.env, e.score, e.length) for e in episodes} == {(0, 6.0, 3), (1, 10.0, 4)}
    assert collector.take_finished() == []


def test_same_step_wastes_nothing_and_next_step_one_step_an_episode(corridor):
    _, same = transitions(corridor((3, 3), None, AutoresetMode.SAME_STEP))
    _, following = transitions(corridor((3, 3), None, AutoresetMode.NEXT_STEP))
    assert same.frames == 4 * 6 * 2
    assert following.frames == 4 * 6 * 2 * 3 // 4


def test_discounted_return_is_the_learners(corridor):
    env = corridor((3, 3))
    collector = VectorCollector(env, Left(), frames_per_batch=6, gamma=0.5, reward_clip=2.0)
    collector.rollout()
    episodes = collector.take_finished()
    assert [episode.discounted for episode in episodes] == [1 + 0.5 * 2 + 0.25 * 2] * 2
    assert [episode.score for episode in episodes] == [6.0, 6.0]


def test_the_native_cartpole_agrees_with_single_environments():
    env = gym.make_vec("CartPole-v1", 3, vectorization_mode="vector_entry_point")
    collector = VectorCollector(env, Left(), frames_per_batch=300, seed=1)
    batch = collector.rollout()
    done = batch["next", "done"][..., 0]
    mask = batch["collector", "mask"]
    # after the end of an episode comes one step that is masked, and it is the reset
    assert done.any()
    assert (~mask[:, 1:] == done[:, :-1]).all()
    after = batch["observation"][:, 2:][done[:, :-2]]
    assert after.abs().max() <= 0.05


def test_it_is_a_torchrl_collector(corridor):
    policy = Left()
    collector = VectorCollector(corridor(), policy, frames_per_batch=4, total_frames=12)
    assert isinstance(collector, BaseCollector)
    assert len(list(collector)) == 3
    fresh = Left()
    fresh.weight.data.fill_(3.0)
    collector.update_policy_weights_(fresh)
    assert policy.weight.tolist() == [3.0, 3.0]


def test_state_restores_the_count_and_opens_new_episodes(corridor):
    _, collector = transitions(corridor())
    state = collector.state_dict()
    other = VectorCollector(corridor(), Left(), frames_per_batch=4)
    other.load_state_dict(state)
    assert other.frames == collector.frames
    assert other.rollout()["observation"][:, 0].flatten().tolist() == [0.0, 0.0]


def test_refused(corridor):
    with pytest.raises(ValueError, match="multiple of 2"):
        VectorCollector(corridor(), Left(), frames_per_batch=5)
    with pytest.raises(ValueError, match="autoreset"):
        VectorCollector(corridor(mode=AutoresetMode.DISABLED), Left(), frames_per_batch=4)
    env = corridor()
    env.single_action_space = gym.spaces.MultiDiscrete([2, 2])
    with pytest.raises(ValueError, match="discrete or continuous actions are needed"):
        VectorCollector(env, Left(), frames_per_batch=4)


def test_an_evaluation_of_endless_episodes_ends(corridor):
    from catzoo.agents import evaluate_policy

    env = corridor((10**9, 3))
    assert evaluate_policy(Left(), env, 4, seed=0, max_steps=16) == [
        6.0,
        6.0,
        136.0,
        392.0,
    ]  # rewards 1…16, then 17…32
