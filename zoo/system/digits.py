"""How many digits a score is shown with: as many as tell it from others, and no more."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

MINUS = "\N{MINUS SIGN}"
"""As wide as a plus."""
FIGURES = 7
"""Figures that a difference between two numbers may need; beyond is what arithmetic leaves."""
MOST = 8
"""Decimals that a table has a place for."""


def digits_of(values: Iterable[float]) -> int:
    """Decimals that numbers need beside each other: about three figures of the largest, two of their span."""
    finite = [value for value in values if math.isfinite(value)]
    largest = max(map(abs, finite), default=0.0)
    if not largest:
        return 2
    power = math.floor(math.log10(largest))
    digits = 0 if power >= 3 else 1 if power >= 1 else 2 - power
    span = max(finite) - min(finite)
    if math.isfinite(span) and span > 0:
        digits = max(digits, min(1 - math.floor(math.log10(span)), FIGURES - 1 - power))
    return digits


def number(value: float, digits: int) -> str:
    """A number with thousands apart, and no sign where nothing of it is left."""
    if value and (digits > MOST or 1e15 <= abs(value) < math.inf):
        return f"{value:.4g}"
    text = f"{value:,.{digits}f}"
    return text if re.search("[1-9a-z]", text) else text.lstrip("-")


def typeset(value: float, digits: int) -> str:
    """The same with a typographic minus, for pages and pictures."""
    return number(value, digits).replace("-", MINUS)


def score(value: float) -> str:
    """A number alone: `473.2`, `9.42`, `0.00203`."""
    return number(value, digits_of([value]))


def with_interval(value: float, low: float, high: float) -> tuple[str, str]:
    """`0.93` and `[0.81, 1.04]`."""
    digits = digits_of([value, low, high])
    return number(value, digits), f"[{number(low, digits)}, {number(high, digits)}]"


def exact(value: float) -> str:
    """A number for a CSV file."""
    return f"{value:.10g}"
