"""Finding truncated NIfTI files: the reader of SimpleITK fills what is missing with zeros and says
nothing."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

_CHUNK = 1 << 22


def is_complete(path: Path) -> bool:
    """Whether a ``.nii`` or ``.nii.gz`` file (NIfTI-1 or 2) holds as many bytes as its header promises."""
    try:
        with gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb") as stream:
            header = stream.read(540)
            size = len(header)
            while chunk := stream.read(_CHUNK):
                size += len(chunk)
        return size >= _promised_size(header)
    except (EOFError, zlib.error, gzip.BadGzipFile, struct.error):
        return False


def _promised_size(header: bytes) -> float:
    for order in "<>":
        kind = struct.unpack_from(order + "i", header)[0]
        if kind == 348:
            dimensions = struct.unpack_from(order + "8h", header, 40)
            (bits,), (offset,) = (struct.unpack_from(order + code, header, at) for code, at in (("h", 72), ("f", 108)))
        elif kind == 540:
            dimensions = struct.unpack_from(order + "8q", header, 16)
            (bits,), (offset,) = (struct.unpack_from(order + code, header, at) for code, at in (("h", 14), ("q", 168)))
        else:
            continue
        return offset + math.prod(dimensions[1 : dimensions[0] + 1]) * bits / 8
    return 0  # not NIfTI: the reader itself will say so
