"""Settings that must be there before any test file is imported."""

from __future__ import annotations

import os

# The tests run in one process per core; more threads in each would only get into each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
