"""Methods to compare with, as plugins of ``python -m DPLSegmentLib evaluate``.

``METHODS`` names them and their modules; ``DPLSegmentLib/evaluation/plugins.py`` says what a module has to offer.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

METHODS = {
    "growcut": "grow_from_seeds",
    "flow": "optical_flow",
    "knn": "nearest_neighbours",
    "litemedsam": "lite_medsam",
}
SlicesOfLabels = Mapping[int, Mapping[int, np.ndarray]]
