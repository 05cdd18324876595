"""The ``info`` command: versions, devices, and the weights with their checksum."""

from __future__ import annotations

import platform

import numpy
import SimpleITK

from ..version import __version__


def info() -> None:
    """Print one fact per line. Raises InputError, after the others, when the weights cannot be described."""
    import torch

    facts = [
        ("DPLSegmentLib", __version__),
        ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("torch", f"{torch.__version__} (CUDA {torch.version.cuda or 'not built in'})"),
        ("numpy", numpy.__version__),
        ("SimpleITK", SimpleITK.Version.VersionString()),
        ("device cpu", f"{torch.get_num_threads()} threads"),
    ]
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            memory = torch.cuda.get_device_properties(number).total_memory / 2**30
            facts.append((f"device cuda:{number}", f"{torch.cuda.get_device_name(number)}, {memory:.1f} GiB"))
    if torch.backends.mps.is_available():
        facts.append(("device mps", "Apple GPU"))
    _print(facts)
    _print(_weights_facts())


def _weights_facts() -> list[tuple[str, str]]:
    from ..checkpoint import describe_weights

    weights = describe_weights()
    verdict = "matches" if weights["matches"] else "DOES NOT MATCH the published one"
    return [
        ("weights", str(weights["path"])),
        ("size", f"{weights['bytes'] / 2**20:.2f} MiB, {weights['parameters']:,} parameters"),
        ("sha256", str(weights["sha256"])),
        ("checksum", verdict),
    ]


def _print(facts: list[tuple[str, str]]) -> None:
    for name, value in facts:
        print(f"{name + ':':<15} {value}", flush=True)
