"""Observations of VTK objects that neither keep a widget alive nor outlive it."""

from __future__ import annotations

import weakref

import vtk


class Observations:
    """The observations of one widget.

    VTK keeps a callback as long as the observed object lives, which for a scene is the whole process. And Python's
    garbage collector sees through VTK objects: a callback that only forms a cycle with the node it observes is taken
    apart while the node, still in the scene, calls it. So callbacks hold their widget weakly.
    """

    def __init__(self, widget):
        self._entries = []
        widget.destroyed.connect(self.clear)

    def add(self, observed, event, method, withObject: bool = False, priority: float = 0.0) -> None:
        """Calls method(caller, event), with the object that comes with the event as a third argument if asked for."""
        weakMethod = weakref.WeakMethod(method)

        def forward(*arguments):
            method = weakMethod()
            if method is not None:
                method(*arguments)

        if withObject:
            forward.CallDataType = vtk.VTK_OBJECT
        self._entries.append((observed, observed.AddObserver(event, forward, priority)))

    def clear(self, *_) -> None:
        for observed, tag in self._entries:
            observed.RemoveObserver(tag)
        self._entries.clear()

    def abort(self, observed) -> None:
        """From inside a method: other observers of the present event are not called."""
        for entry, tag in self._entries:
            if entry is observed:
                observed.GetCommand(tag).SetAbortFlag(1)

    def __bool__(self) -> bool:
        return bool(self._entries)
