"""Small images for studies of networks: files in the idx format of MNIST. NumPy is imported where it reads.

Shapes: N images, H by W pixels.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from catzoo.hparams import RecipeError
from catzoo.hparams.schema import nearest
from catzoo.zoo import ROOT

if TYPE_CHECKING:
    import numpy as np

DIGITS = ROOT / "data" / "digits-images-idx3-ubyte.gz"
FASHION = Path("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz")
"""Where Debian's package has the 60,000 training images."""
DATA = {"digits": DIGITS, "fashion-mnist": FASHION}
MAGIC = 0x803
"""Of a file of unsigned bytes in three dimensions."""


def find_images(data: str) -> Path:
    """The file of a data set.

    Raises:
        RecipeError: no such data set, or it is not installed.
    """
    if data not in DATA:
        raise RecipeError(f"unknown data={data!r:.80}: known are {', '.join(DATA)}{nearest(data, DATA)}")
    if not DATA[data].is_file():
        raise RecipeError(
            f"data={data}: {DATA[data]} is missing: apt install dataset-fashion-mnist, or take data=digits"
        )
    return DATA[data]


def load_images(data: str, count: int) -> np.ndarray:
    """The first `count` images [N, H, W] of a data set, as bytes.

    Raises:
        RecipeError: see `find_images`; it has fewer images, or its file is corrupt.
    """
    path = find_images(data)
    images_NHW = read_idx(path)
    if not 1 <= count <= len(images_NHW):
        raise RecipeError(f"images={count}: must be from 1 to {len(images_NHW)}, as many as data={data} has")
    return images_NHW[:count]


def read_idx(path: Path) -> np.ndarray:
    """The images [N, H, W] of a gzipped idx file.

    Raises:
        RecipeError: it cannot be read, or is something else.
    """
    import numpy as np

    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise RecipeError(f"{path}: cannot be read: {error}") from None
    head = struct.calcsize(">4I")
    magic, *shape = struct.unpack(">4I", content[:head].ljust(head, b"\0"))
    if magic != MAGIC or len(content) != head + math.prod(shape):
        raise RecipeError(f"{path}: is no idx file of images")
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)
