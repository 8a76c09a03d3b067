"""Whole training loops beside those of other libraries."""
