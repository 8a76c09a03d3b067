"""Measurements of whole training loops, side by side with other libraries in one run."""
