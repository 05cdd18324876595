"""Arrays in few bytes: what a training cache is written with."""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import InputError


def smallest(array: np.ndarray) -> np.ndarray:
    """Whole numbers from 0 in as few bytes as they need (uint8, uint16 or int32)."""
    top = int(array.max(initial=0))
    return array.astype(np.uint8 if top < 256 else np.uint16 if top < 65536 else np.int32)


def squeeze_image(image: np.ndarray) -> np.ndarray:
    """A noisy uint8 image as bytes (uint8, 1-D): block sorting beats prediction filters on scans."""
    return np.frombuffer(bz2.compress(np.ascontiguousarray(image, np.uint8).tobytes()), np.uint8)


def squeeze_labels(labels: np.ndarray) -> np.ndarray:
    """A label volume, whole numbers in uint8, uint16 or int32, as bytes (uint8, 1-D)."""
    return np.frombuffer(lzma.compress(np.ascontiguousarray(labels).tobytes(), preset=4), np.uint8)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], images: tuple[str, ...], labels: tuple[str, ...]) -> int:
    """Write arrays as ``.npz``: those named in ``images`` (uint8) and ``labels`` (whole numbers) are squeezed.

    The file gets its name only when it is complete. Returns its size in bytes.
    """
    stored: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if name in images or name in labels:
            array = smallest(array) if name in labels else array
            stored[f"{name}:form"] = np.array([array.dtype.str, *map(str, array.shape)])
            array = squeeze_image(array) if name in images else squeeze_labels(array)
        stored[name] = array
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as stream:
        np.savez(stream, **stored)
    temporary.replace(path)
    return path.stat().st_size


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read a file written by ``write_arrays``. Raises InputError if it is damaged or of another kind."""
    try:
        with np.load(path, allow_pickle=False) as data:
            stored = {name: data[name] for name in data.files}
        arrays = {}
        for name, array in stored.items():
            if name.endswith(":form"):
                continue
            form = stored.get(f"{name}:form")
            if form is not None:
                # The two formats announce themselves in their first bytes.
                content = array.tobytes()
                content = bz2.decompress(content) if content[:3] == b"BZh" else lzma.decompress(content)
                array = np.frombuffer(content, np.dtype(str(form[0]))).reshape([int(n) for n in form[1:]])
            arrays[name] = array
    except Exception as error:  # zip, bz2, lzma and numpy each have their own kinds
        raise InputError(f"The cache file '{path}' is damaged or of another kind; prepare the cache again.") from error
    return arrays
