"""JSON as the standard has it: Python's own has NaN and infinity too, which others refuse."""

from __future__ import annotations

import json
import math
from typing import Any


def to_json(content: Any) -> str:
    """Plain data as JSON, indented, with a last line end; ValueError for a number that is not finite."""
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def from_json(text: str | bytes) -> Any:
    """Plain data from JSON.

    Raises:
        ValueError: it is not JSON, has a number that is not finite (1e400 would be), or is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number of JSON")
    return number
