"""A policy at play: films, and the value distribution beside the frame."""
