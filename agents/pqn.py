"""PQN with any value loss: parallelised Q-learning without replay and target network.

Gallici et al. 2024, arXiv 2407.04811. Legend: N environments, T steps, B batch, K batches, A actions.

A rollout of all environments gives Q(lambda) returns, which the network is fitted to in a few epochs of
shuffled minibatches, and is then thrown away. Layer normalisation (`network.layer_norm`) takes the target
network's place in keeping it stable.

Deviations from the paper: Adam where it has RAdam; C51 projects the scalar return, since a Q(lambda) return
has no distribution to shift; a truncated episode bootstraps, where the authors' code takes it as terminated.
"""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor

from catzoo.agents.agent import Agent
from catzoo.agents.learning.returns import q_lambda_returns
from catzoo.agents.replay import Batch

CHUNK = 1_024
"""Observations valued at once: a whole rollout of Atari stacks would take gigabytes of activations."""


class PQN(Agent):
    """Parallelised Q-network, see the module."""

    def attach(
        self, env: Any, *, rollout_length: int, seed: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        """As `Agent.attach`.

        Raises:
            ValueError: a minibatch larger than a rollout.
        """
        steps = env.num_envs * rollout_length
        if self.options.batch_size > steps:
            raise ValueError(
                f"batch_size={self.options.batch_size} is more than the {steps} steps of a rollout "
                f"(num_envs={env.num_envs} x rollout_length={rollout_length})"
            )
        super().attach(env, rollout_length=rollout_length, seed=seed, device=device)

    def update(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One step towards the returns in `batch.reward`: (loss [B], TD error [B])."""
        outputs_BAK = self.network(batch.observation)
        # A return is a target without a bootstrap: its discount is 0, and what is discounted does not matter.
        return self.value_loss.td(
            outputs_BAK, batch.action, outputs_BAK.detach(), batch.reward, batch.discount
        )

    def learn_from(self, rollout: TensorDictBase) -> None:
        """Epochs of shuffled minibatches over the rollout's steps and their returns."""
        device, size = self.learner.device, self.options.batch_size
        # Time-major, as the collector wrote it: no copy. Reset steps are no transitions.
        valid = rollout["collector", "mask"].T.flatten().nonzero().squeeze(-1).to(device)
        observation = rollout["observation"].transpose(0, 1).flatten(0, 1).to(device, non_blocking=True)
        action = rollout["action"].T.flatten().to(device, non_blocking=True)
        returns = self._returns(rollout).T.flatten()
        for _ in range(self.options.epochs):
            order = valid[torch.randperm(len(valid), device=device)]
            # Reset steps leave a few too few for whole batches: some steps then come twice.
            number = max(round(len(order) / size), 1)
            index_KB = order[torch.arange(number * size, device=device) % len(order)].view(number, size)
            batch, reward = observation[index_KB], returns[index_KB]
            self.learn(Batch(batch, action[index_KB], reward, torch.zeros_like(reward), batch))

    @torch.no_grad()
    def _returns(self, rollout: TensorDictBase) -> Tensor:
        """Q(lambda) returns [N, T] of a rollout, on the learner's device."""
        device, following = self.learner.device, rollout["next"]
        reward_NT = following["reward"].squeeze(-1)
        if self.options.reward_clip is not None:
            reward_NT = reward_NT.clamp(-self.options.reward_clip, self.options.reward_clip)
        time_major = following["observation"].transpose(0, 1).flatten(0, 1)
        with self.learner.autocast:
            values = [
                self.value_loss.decode(self.network(chunk.to(device))).amax(dim=-1).float()
                for chunk in time_major.split(CHUNK)
            ]
        return q_lambda_returns(
            reward_NT.to(device),
            following["terminated"].squeeze(-1).to(device),
            following["done"].squeeze(-1).to(device),
            torch.cat(values).unflatten(0, reward_NT.T.shape).T,
            self.options.gamma,
            self.options.q_lambda,
        )
