"""The catalogue and all that a user does with it. The code is in the rooms."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent
"""The folder of the zoo's own data: recipes, measured results, trained agents, other people's scores."""
