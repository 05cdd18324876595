"""Parts of the panel that must hold back while nodes come and go."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class SuspendablePart(ABC):
    """Shows parameters; while suspended it changes neither them nor the panel.

    Node selectors build their lists anew when a scene is loaded or closed, and change on the way; the user does not.
    """

    def __init__(self) -> None:
        self._parameters: Any = None
        self._suspended = False

    def setParameters(self, parameters: Any) -> None:
        """Show these parameters; None: nothing to show and nothing to change."""
        self._parameters = parameters
        self.update()

    def suspend(self) -> None:
        """Lists are about to be built anew."""
        self._suspended = True

    def resume(self) -> None:
        """The lists are complete; show again what the parameters say."""
        self._suspended = False
        self.update()

    @abstractmethod
    def update(self) -> None:
        """Show what the parameters say."""
