"""Which device to compute on, and what to do when its memory runs out."""

from __future__ import annotations

import torch

from .errors import InputError


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` (CUDA if there is any, otherwise CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    MPS is never chosen by itself: its operators are incomplete.

    Raises:
        InputError: unknown name, or a device this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"'{name}' is not a device; use auto, cpu, cuda, cuda:N or mps.")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise InputError(f"There is no CUDA device for '{name}' on this computer; use auto or cpu.")
        if (device.index or 0) >= count:
            raise InputError(f"There is no device '{name}': the last CUDA device is cuda:{count - 1}.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("There is no MPS device on this computer; use auto or cpu.")
    if device.type == "cpu" and device.index not in (None, 0):
        raise InputError(f"There is no device '{name}'; use cpu.")
    return torch.device("cpu") if device.type == "cpu" else device


def describe_device(device: torch.device) -> str:
    """The device's name for people."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda})"
    if device.type == "cpu":
        return f"cpu ({torch.get_num_threads()} threads)"
    return str(device)


def release(device: torch.device) -> None:
    """Give cached memory back after an out-of-memory error."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
