"""Every sentence that dependencies, runs and the sample data can show; Resources/Docs/Troubleshooting.md explains each.

Sentences of the library (unusable scans, annotations or weights) are its own and are shown as they are.
"""

from __future__ import annotations

from slicer.i18n import tr as _

# PyTorch
EXTENSION_MISSING = _(
    "Segmenting needs PyTorch: install the PyTorch extension in the Extensions Manager, restart Slicer and click again."
)
TORCH_DECLINED = _("Segmenting needs PyTorch and its installation was not confirmed; click again and confirm it.")
TORCH_INSTALL_FAILED = _(
    "PyTorch could not be installed; check the internet connection and the proxy and click again, or install it "
    "offline (the Python console shows the details)."
)
TORCH_RESTART = _("PyTorch was installed and can be used after a restart; save your work and restart Slicer.")
TORCH_BROKEN = _(
    "PyTorch is installed but cannot be loaded; uninstall it in the PyTorch Utils module, restart Slicer and click "
    "again (the Python console shows the details)."
)
TORCH_TOO_OLD = _(
    "PyTorch {installed} is too old, at least {needed} is needed; uninstall it in the PyTorch Utils module, restart "
    "Slicer and click again."
)
PACKAGING_MISSING = _(
    "The installed PyTorch extension does not belong to this version of Slicer (it needs slicer.packaging); update it "
    "in the Extensions Manager, or update Slicer, and click again."
)

# Inputs
NO_QUERY = _("There is no scan to segment; choose one or more query volumes.")
QUERY_NOT_A_VOLUME = _("The query {name} is not a scalar volume; choose a CT or MR scan.")
QUERY_TWICE = _("The query {name} is chosen twice; choose every scan once.")
QUERY_EMPTY = _("The query {name} holds no image; load it again or choose another scan.")
NO_SUPPORT_SEGMENTATION = _("There is no annotation; choose a segmentation or paint a new one on one slice.")
SUPPORT_NOT_A_SEGMENTATION = _("The annotation {name} is not a segmentation; choose a segmentation.")
NO_SUPPORT_VOLUME = _("There is no annotated scan; choose the volume on which the segmentation was painted.")
SUPPORT_NOT_A_VOLUME = _("The annotated scan {name} is not a scalar volume; choose a CT or MR scan.")
SUPPORT_EMPTY = _("The annotated scan {name} holds no image; load it again or choose another scan.")
OUTPUT_IS_SUPPORT = _(
    "The result would overwrite the annotation; choose another output segmentation, or let a new one be made."
)
OUTPUT_NOT_A_SEGMENTATION = _("The output {name} is not a segmentation; choose a segmentation.")
OUTPUT_NOT_A_VOLUME = _("The uncertainty output {name} is not a scalar volume; choose a scalar volume.")
OUTPUT_IS_INPUT_VOLUME = _(
    "The uncertainty would overwrite the scan {name}; choose another output volume, or let a new one be made."
)
ONE_OUTPUT_FOR_SEVERAL = _(
    "One output cannot hold the results of several scans; leave the outputs empty, so that each scan gets its own."
)
WEIGHTS_UNREADABLE = _("The weights file '{path}' cannot be read; check the path.")
SEED_INVALID = _("The seed is {seed}; it must be a whole number from 0 to {largest}.")
NODE_NOT_IN_SCENE = _("The node {name} is no longer in the scene; choose another one.")
TOO_LITTLE_MEMORY = _(
    "These {count} scans need about {needed} GiB of memory and {free} GiB are free; choose fewer scans at once, crop "
    "them, or close other programs."
)

# Runs
ALREADY_RUNNING = _("A segmentation is already running; wait until it is complete, or cancel it.")
OUT_OF_MEMORY = _("The memory was not enough for this scan; close other programs, or crop the scan.")
UNEXPECTED_ERROR = _(
    "The segmentation stopped because of an unexpected error ({kind}); the scene is unchanged and the Python console "
    "shows the details."
)
QUERY_GONE = _("The scan {name} was deleted during the segmentation; nothing was written for it.")
QUERY_CHANGED = _("The scan {name} was changed during the segmentation; nothing was written for it, click again.")
QUERY_FAILED = _("The scan {name} was not segmented: {reason}")
CANCELLED = _("The segmentation was cancelled and the scene is unchanged.")
