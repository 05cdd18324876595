"""How precisely training computes: half precision where it is safe, and nothing below the smallest normal number.

Safe are the convolutions of encoder and decoder. Matching compares squared distances as differences of large products,
which half precision would drown, and losses and prototypes cost nothing; they stay in single precision.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..model import DPLModel


@contextlib.contextmanager
def mixed_precision(model: DPLModel, device: torch.device, enabled: bool) -> Iterator[None]:
    """While it lasts, the model's backbone and mask decoder compute in bfloat16; their results are single precision."""
    modules: list[nn.Module] = [model.encoder.backbone, model.decoder] if enabled else []
    for module in modules:
        module.forward = _in_bfloat16(module.forward, device.type)
    try:
        yield
    finally:
        for module in modules:
            del module.forward  # the class's own comes back


@contextlib.contextmanager
def no_denormals() -> Iterator[None]:
    """While it lasts, this thread takes numbers below 1.2e-38 for zero, where the processor can.

    Gradients that come back through the softmax of matching are full of them, and processors take a hundred times as
    long for each: a walk trains three times as fast without.
    """
    before = float(torch.tensor([1e-38]) * 0.1) == 0.0  # torch does not tell
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _in_bfloat16(forward: Callable[..., Any], kind: str) -> Callable[..., Any]:
    def wrapped(*inputs: Any) -> Any:
        with torch.autocast(kind, dtype=torch.bfloat16):
            return _single(forward(*inputs))

    return wrapped


def _single(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float()
    return type(value)(_single(part) for part in value)
