"""How a table fits a terminal: words wrap between words, and columns are left out before a number is cut."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

LEAST = (
    "protocol", "range", "updates", "episodes", "seed", "seeds", "95 %", "95 % over seeds", "95 % interval",
    "recipe", "steps",
)  # fmt: skip
"""Columns that are left out first, in this order; then the last ones."""
WORDS = ("what", "claim", "meaning", "recipes for", "protocol", "recipe")
"""Columns of words."""
LONGEST_NUMBER = 40
"""Cells; what is longer is a list or a text, and wraps."""
LONGEST_WORD = 20
"""Cells; longer words, such as names of environments, may be broken."""
FRAME = 3
"""Cells between two columns."""


def is_words(index: int, column: str) -> bool:
    """Whether a column is of words, which begin at its left side; the first one is."""
    return index == 0 or column in WORDS


def fit(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    least: Sequence[str] = LEAST,
    frame: int = FRAME,
) -> list[tuple[int, int]]:
    """Which columns have a place in a table of so many cells, and how wide they are.

    Args:
        columns: their heads.
        rows: their cells.
        width: of the whole table, frame and all.
        least: columns that are left out first, in this order; then the last ones.
        frame: cells between two columns.

    Returns:
        Index and width of each; the first column is always among them.
    """
    bounds = [_bounds(index, column, [row[index] for row in rows]) for index, column in enumerate(columns)]
    shown = list(range(len(columns)))
    while len(shown) > 1 and _spare([bounds[index][0] for index in shown], width, frame) < 0:
        first = [index for name in least for index in shown[1:] if columns[index] == name]
        shown.remove(first[0] if first else shown[-1])
    widths = {index: bounds[index][0] for index in shown}
    for _ in range(_spare(list(widths.values()), width, frame)):
        growing = [index for index in shown if widths[index] < bounds[index][1]]
        if not growing:
            break
        widths[min(growing, key=widths.__getitem__)] += 1
    return list(widths.items())


def wrapped(text: str, width: int) -> str:
    """A text whose values have lines of their own where a key and its value have no place on one."""
    return " ".join(
        word.replace("=", "=\n", 1) if cell_len(word) > width else word for word in text.split(" ")
    )


def shortened(text: str, width: int, sign: str = "…") -> str:
    """A name in so many cells, with a sign of one cell for its middle: runs differ at both ends."""
    cut = len(text)
    shown = text
    while cell_len(shown) > width and cut:
        cut -= 1
        shown = f"{text[: (cut + 1) // 2]}{sign}{text[len(text) - cut // 2 :]}"
    return shown


def _spare(widths: Sequence[int], width: int, frame: int) -> int:
    return width - sum(widths) - frame * len(widths) - 1


def _bounds(index: int, column: str, cells: Sequence[str]) -> tuple[int, int]:
    """The least width that cuts no number, and the one that needs no second line."""
    whole = max(map(cell_len, (column, *cells)))
    if not is_words(index, column) and whole <= LONGEST_NUMBER:
        return whole, whole
    words = [word for text in (column, *cells) for word in text.split()]
    return min(max(map(cell_len, words), default=1), LONGEST_WORD), whole
