"""Datasets that the zoo makes itself, for agents that learn without playing."""
