"""Batches of positions whose moves are labelled, from a dataset.

Legend: N positions, P labelled moves of all of them, K batches, B batch, M moves of a position at most.
"""

from __future__ import annotations
