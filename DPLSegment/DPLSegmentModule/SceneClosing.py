"""Lets go of what belongs to a scene when the scene is closed."""

from __future__ import annotations

import weakref
from typing import Any

import slicer


def forgetOnSceneClose(logic: Any) -> None:
    """Call ``logic.forget()`` whenever the scene is about to be closed.

    The scene outlives the logic (reloading the module makes a new one); neither keeps anything of the other.
    """
    scene, reference = slicer.mrmlScene, weakref.ref(logic)

    def onSceneClosing(caller: Any, event: Any) -> None:
        existing = reference()
        if existing is not None:
            existing.forget()

    tag = scene.AddObserver(slicer.vtkMRMLScene.StartCloseEvent, onSceneClosing)
    weakref.finalize(logic, scene.RemoveObserver, tag).atexit = False  # then the scene may be gone already
