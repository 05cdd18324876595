"""Synthetic bodies with known anatomy for the demo, tests and training (numpy and SimpleITK only)."""

from __future__ import annotations

from .anatomy import Anatomy, generate_anatomy, second_patient
from .couch import with_couch
from .rendering import render
from .scan import SyntheticScan, generate_scan

__all__ = ["Anatomy", "SyntheticScan", "generate_anatomy", "generate_scan", "render", "second_patient", "with_couch"]
