"""What all tests share: real scans when they are there, few threads, reproducible property tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

CHECKOUT = Path(__file__).resolve().parents[2]

# Timing of a property test says nothing on a busy machine, so no deadline; derandomised, so a failure can be
# repeated.
settings.register_profile(
    "default", deadline=None, max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("default")


@pytest.fixture(scope="session", autouse=True)
def two_threads() -> None:
    """At most two threads, and fewer where OMP_NUM_THREADS asks for fewer: threads that wait for a core cost much."""
    import torch

    torch.set_num_threads(min(2, int(os.environ.get("OMP_NUM_THREADS", "2"))))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of real scans: $DPLSEGMENT_DATA, or ``shared/data`` beside the checkout; skips without it."""
    named = os.environ.get("DPLSEGMENT_DATA")
    folder = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    if named and not folder.is_dir():
        pytest.fail(f"DPLSEGMENT_DATA names {folder}, which is not a folder.")
    if not folder.is_dir():
        pytest.skip(f"NO REAL SCANS: set DPLSEGMENT_DATA to their folder, or put them in {folder}.")
    return folder
