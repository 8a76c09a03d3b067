"""Catzoo: deep RL agents whose value functions classify instead of regress."""

__version__ = "0.1.0"
