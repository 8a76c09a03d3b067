"""Which of the newest records can still be sampled, where what they refer to is overwritten."""

from __future__ import annotations

import numpy as np

BLOCK = 256


class Window:
    """Counts records in a ring of `capacity`, each of which lives until its limit is passed.

    Records die in order: one that needs something older than a later record's need does not outlive that one.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.count = 0
        """Records so far."""
        self.first = 0
        """The oldest one that lives."""
        self.needs = np.zeros(capacity, np.int64)
        """By slot: the least that this record or a later one needs; it rises from oldest to newest."""

    def __len__(self) -> int:
        return self.count - self.first

    def extend(self, needs: np.ndarray) -> None:
        """Adds records, at most `capacity`, by the oldest thing that each needs."""
        if not len(needs):
            return
        needs = np.minimum.accumulate(needs[::-1])[::-1]
        end = self.count
        self.needs[np.arange(end, end + len(needs)) % self.capacity] = needs
        self.count += len(needs)
        self.first = max(self.first, self.count - self.capacity)
        while end > self.first:
            slots = np.arange(max(end - BLOCK, self.first), end) % self.capacity
            done = self.needs[slots[0]] <= needs[0]
            self.needs[slots] = np.minimum(self.needs[slots], needs[0])
            if done:
                break
            end -= BLOCK

    def expire(self, limit: int) -> np.ndarray:
        """Ends the records that need something older than `limit`; returns their slots."""
        before = self.first
        while self.first < self.count:
            slots = np.arange(self.first, min(self.first + BLOCK, self.count)) % self.capacity
            dead = int(np.searchsorted(self.needs[slots], limit))
            self.first += dead
            if dead < len(slots):
                break
        return np.arange(before, self.first) % self.capacity
