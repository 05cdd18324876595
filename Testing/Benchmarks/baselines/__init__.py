"""Methods to compare with. Each module has one call::

    for label, scores in module.scores(image, spacing, annotation): ...

``image`` is (slice, row, column), ``spacing`` its voxel size in mm in that order, ``annotation`` maps each
label to ``{slice index: (row, column) mask}`` and everything else on such a slice is background for that
label. Scores are a float32 volume of the image's shape, in 0 to 1, the label being where they exceed one
half. Each label is segmented by itself, because its annotated slices may show other organs;
:func:`baselines.conflicts.resolve` makes one label map.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

SlicesOfLabels = Mapping[int, Mapping[int, np.ndarray]]
