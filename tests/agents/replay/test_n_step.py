"""n-step transitions equal a brute-force reading of the episodes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict

from catzoo.agents import NStep


def make_rollout(reward, terminated, truncated, mask):
    """[N, T] lists as a rollout whose observation at t is 100 i + t, and the next one half past it."""
    reward = torch.tensor(reward, dtype=torch.float32)
    shape = reward.shape
    now = 100.0 * torch.arange(shape[0])[:, None] + torch.arange(shape[1])
    terminated, truncated = torch.tensor(terminated), torch.tensor(truncated)
    following = {
        "observation": (now + 0.5).unsqueeze(-1),
        "reward": reward.unsqueeze(-1),
        "terminated": terminated.unsqueeze(-1),
        "truncated": truncated.unsqueeze(-1),
        "done": (terminated | truncated).unsqueeze(-1),
    }
    return TensorDict(
        {
            "observation": now.unsqueeze(-1),
            "action": torch.zeros(shape, dtype=torch.int64),
            "next": TensorDict(following, batch_size=shape),
            "collector": TensorDict({"mask": torch.tensor(mask)}, batch_size=shape),
        },
        batch_size=shape,
    )


def brute_force(rollout, n, gamma, clip):
    """Every transition whose n-step window is known, by walking each episode."""
    found = set()
    envs, time = rollout.shape
    for i in range(envs):
        for t in range(time - n + 1):
            if not rollout["collector", "mask"][i, t]:
                continue
            total, discount = 0.0, 1.0
            for k in range(t, t + n):
                step = rollout[i, k]["next"]
                total += discount * max(-clip, min(clip, step["reward"].item()))
                discount *= gamma
                if step["terminated"]:
                    discount = 0.0
                if step["done"]:
                    break
            start = rollout["observation"][i, t].item()
            found.add(
                (start, round(total, 4), round(discount, 5), rollout[i, k]["next", "observation"].item())
            )
    return found


@settings(deadline=None, max_examples=60)
@given(st.data(), st.integers(1, 5), st.integers(1, 3))
def test_equals_brute_force_across_rollouts(data, n, envs):
    time = data.draw(st.integers(n, 14))
    events = st.lists(st.sampled_from("....TU"), min_size=time, max_size=time)
    reward, terminated, truncated, mask = [], [], [], []
    for _ in range(envs):
        kinds = data.draw(events)
        valid = [True] * time
        for t in range(1, time):  # a reset step follows the end of an episode, and ends nothing itself
            if kinds[t - 1] != "." and valid[t - 1]:
                valid[t], kinds[t] = False, "."
        mask.append(valid)
        terminated.append([kind == "T" for kind in kinds])
        truncated.append([kind == "U" for kind in kinds])
        reward.append(data.draw(st.lists(st.integers(-3, 3), min_size=time, max_size=time)))
    rollout = make_rollout(reward, terminated, truncated, mask)
    builder = NStep(n, 0.9, reward_clip=2.0)
    cut = data.draw(st.integers(0, time))
    parts = [part for part in (rollout[:, :cut], rollout[:, cut:]) if part.shape[1]]
    made = torch.cat([builder(part) for part in parts])
    got = {
        (row["observation"].item(), round(row["reward"].item(), 4), round(row["discount"].item(), 5),
         row["next_observation"].item())
        for row in made
    }  # fmt: skip
    assert len(got) == len(made)
    assert got == brute_force(rollout, n, 0.9, 2.0)


def test_a_cut_ends_the_waiting_steps_without_terminating_them():
    builder = NStep(3, 0.5)
    first = make_rollout([[1, 1, 1]], [[False] * 3], [[False] * 3], [[True] * 3])
    assert len(builder(first)) == 1
    builder.cut()
    later = builder(make_rollout([[9, 9, 9]], [[False] * 3], [[False] * 3], [[True] * 3]))
    assert later["reward"].tolist() == [1.5, 1.0, 9 + 4.5 + 2.25]
    assert later["discount"].tolist() == [0.25, 0.5, 0.125]
    assert later["next_observation"].flatten().tolist() == [2.5, 2.5, 2.5]


def test_the_waiting_steps_survive_a_round_trip():
    rollout = make_rollout([[1, 2, 3, 4]], [[False] * 4], [[False] * 4], [[True] * 4])
    builder, other = NStep(3, 0.5), NStep(3, 0.5)
    builder(rollout)
    other.load_state_dict(builder.state_dict())
    assert (builder(rollout) == other(rollout)).all()


def test_n_must_be_positive():
    with pytest.raises(ValueError, match="n=0"):
        NStep(0, 0.9)
