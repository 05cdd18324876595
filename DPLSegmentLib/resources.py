"""How much memory a run will need, told before it starts."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence

from .errors import InputError

_BASE = 700 * 2**20  # Python, torch and the network
_PER_SLICE = 256 * 256 * 4 + 64 * 64 * 64 * 2 + 2**18  # image, features and prototype maps on the network grid
_PER_LABEL_SLICE = 256 * 256 * 2 + 2 * 64 * 64 * 4


def estimate_memory(shapes: Sequence[tuple[int, ...]], labels: int) -> int:
    """Bytes needed at the peak for scans of these (k, j, i) shapes: their voxels, features, labels and uncertainty."""
    total = _BASE
    for shape in shapes:
        voxels = shape[0] * shape[1] * shape[2]
        slices = max(shape)
        total += voxels * (4 + 2 * 2 + 2 * 4) + slices * (_PER_SLICE + labels * _PER_LABEL_SLICE)
    return total


def available_memory() -> int | None:
    """Free physical memory in bytes, or None where the system does not tell."""
    if sys.platform.startswith("linux"):
        try:
            with open("/proc/meminfo", encoding="ascii") as stream:
                for line in stream:
                    if line.startswith("MemAvailable:"):
                        return int(line.split()[1]) * 1024
        except OSError:
            return None
        return None
    if sys.platform == "win32":

        class Status(ctypes.Structure):
            _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
                (name, ctypes.c_ulonglong)
                for name in (
                    "total",
                    "available",
                    "page_total",
                    "page",
                    "virtual_total",
                    "virtual",
                    "extended",
                )
            ]

        status = Status()
        status.length = ctypes.sizeof(Status)
        if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
            return int(status.available)
        return None
    try:  # macOS tells its memory only as a whole; half of it is a careful guess at what is free
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError, AttributeError):
        return None


def check_memory(shapes: Sequence[tuple[int, ...]], labels: int) -> None:
    """Raise InputError if the run would need more memory than is free."""
    needed, free = estimate_memory(shapes, labels), available_memory()
    if free is not None and needed - _BASE > free:
        raise InputError(
            f"This run needs about {needed / 2**30:.1f} GiB of memory and {free / 2**30:.1f} GiB are free; "
            "close other programs, or crop the scan."
        )
