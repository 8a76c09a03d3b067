"""Values of the next letter in games of words, by a causal transformer over their tokens.

Legend: B batch, L tokens, T choices, A letters, K outputs per value, D model size, P prefixes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from catzoo.agents.networks.heads import LinearHead, in_float32
from catzoo.agents.networks.sequence import CausalTransformer

LETTERS, LENGTH, TRIES = 26, 5, 6
"""Of the alphabet, of a word, and guesses."""
FIRST = 2
"""Token of the first letter; 0 is none yet, and 1 the start."""
VOCABULARY, TOKENS = FIRST + 4 * LETTERS, 1 + 2 * LENGTH * TRIES
"""Letters, and each in three colours; tokens of a game: the start, and letters and colours of each guess."""
READ = TOKENS - LENGTH - 1
"""Tokens that a choice sees: neither the last letter of all nor the last colours."""
NOWHERE = 1
"""The prefix of what no word begins with; 0 is that of nothing."""


class TokenQNetwork(nn.Module):
    """A game [B, 61] of the tokens of `wordle_rules` to the values of the next letter, [B, 26, K].

    Args:
        words: the list, of five lower-case letters each.
        num_outputs: K, from the value loss.
        size, num_layers, num_heads: of the transformer.
        masked: whether only letters are allowed with which some word goes on.
        initial_outputs: [K], where the outputs of every letter begin; None: wherever the layer has them.

    Raises:
        ValueError: heads that do not divide the size.
    """

    reads: ClassVar = {
        "tokens": ((TOKENS,), 0, VOCABULARY - 1),
        "action": ((LENGTH * TRIES,), -1, LETTERS - 1),
        "reward": ((LENGTH * TRIES,), -math.inf, math.inf),
    }
    """Of a dataset's columns, by name: the shape of a row, and the least and the largest number."""
    branches: Tensor
    """[P, 26], the prefix that a letter leads to."""
    goes_on: Tensor
    """[P, 26], bool, whether some word does."""

    def __init__(
        self,
        words: Sequence[str],
        num_outputs: int,
        *,
        size: int = 64,
        num_layers: int = 2,
        num_heads: int = 4,
        masked: bool = True,
        initial_outputs: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.masked = masked
        self.embed = nn.Embedding(VOCABULARY, size)
        nn.init.normal_(self.embed.weight, std=0.02)
        self.transformer = CausalTransformer(TOKENS, size, num_layers=num_layers, num_heads=num_heads)
        self.head = LinearHead(size, LETTERS, num_outputs, initial_outputs=initial_outputs)
        # Before each letter: after the start or a guess's colours, and after the letters that come first.
        places = torch.arange(TRIES)[:, None] * 2 * LENGTH + torch.arange(LENGTH)
        self.register_buffer("places", places.flatten(), persistent=False)
        branches, goes_on = prefixes(words)
        self.register_buffer("branches", branches, persistent=False)
        self.register_buffer("goes_on", goes_on, persistent=False)

    def _outputs(self, features: Tensor) -> Tensor:
        return in_float32(self.head, features)

    def choices(self, tokens: Tensor) -> Tensor:
        """Whole games [B, 61] to the outputs [B, 30, 26, K] of each choice of a letter."""
        features_BLD = self.transformer(self.embed(tokens[:, :READ].long()))
        return self._outputs(features_BLD[:, self.places])

    def forward(self, observation: Tensor) -> Tensor:
        """Games [B, 61] that wait for a letter, to outputs [B, 26, K]."""
        count_B = (observation > 0).sum(1)
        if not torch.compiler.is_exporting():  # a graph has one length; no token sees those behind it
            observation = observation[:, : int(count_B.max())]
        features_BLD = self.transformer(self.embed(observation.long()))
        last_B = (count_B - 1).clamp(min=0)
        rows_B = torch.arange(last_B.shape[0], device=last_B.device)  # a graph takes `len` as a constant
        return self._outputs(features_BLD[rows_B, last_B])

    def allowed(self, observation: Tensor) -> Tensor:
        """Which letters may come next [B, 26], for games [B, 61] that wait for one."""
        count_B = (observation > 0).sum(1)
        begun_B = (count_B - 1).clamp(min=0) % (2 * LENGTH)
        prefix_B = torch.zeros_like(count_B)
        for place in range(LENGTH - 1):
            at_B = (count_B - begun_B + place).clamp(max=TOKENS - 1)
            letter_B = (observation.gather(1, at_B[:, None])[:, 0].long() - FIRST).clamp(0, LETTERS - 1)
            prefix_B = torch.where(place < begun_B, self.branches[prefix_B, letter_B], prefix_B)
        return self.goes_on[prefix_B] if self.masked else torch.ones_like(self.goes_on[prefix_B])

    def allowed_choices(self, action: Tensor) -> Tensor:
        """Which letters [B, 30, 26] each choice was from, by the actions [B, 30], -1 after a game's end."""
        letters = action.long().clamp(min=0).unflatten(1, (TRIES, LENGTH))
        prefix = torch.zeros(letters.shape[:2], dtype=torch.long, device=letters.device)
        found = []
        for place in range(LENGTH):
            found.append(self.goes_on[prefix])
            prefix = self.branches[prefix, letters[:, :, place]]
        allowed = torch.stack(found, 2).flatten(1, 2)
        return allowed if self.masked else torch.ones_like(allowed)


def prefixes(words: Sequence[str]) -> tuple[Tensor, Tensor]:
    """The trie of a word list: branches [P, 26] and `goes_on` [P, 26] of its prefixes of up to four letters.

    From what no word begins with, and after whole words, every letter goes on, to nowhere.
    """
    numbers = {"": 0}
    branches, goes_on = [[NOWHERE] * LETTERS, [NOWHERE] * LETTERS], [[False] * LETTERS, [True] * LETTERS]
    for word in words:
        for end in range(LENGTH):
            number, letter = numbers[word[:end]], ord(word[end]) - ord("a")
            goes_on[number][letter] = True
            if end < LENGTH - 1 and word[: end + 1] not in numbers:
                numbers[word[: end + 1]] = len(branches)
                branches[number][letter] = len(branches)
                branches.append([NOWHERE] * LETTERS)
                goes_on.append([False] * LETTERS)
    return torch.tensor(branches), torch.tensor(goes_on)
