"""What the module can do, for its widget and for the Python console.

>>> logic = slicer.util.getModuleLogic("DPLSegment")
>>> result = logic.segment(queryVolumeNode=scan, supportVolumeNode=annotated, supportSegmentationNode=annotation)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from DPLSegmentModule import Messages
from DPLSegmentModule.BackgroundRun import BackgroundRun
from DPLSegmentModule.Dependencies import TorchDependency
from DPLSegmentModule.LibraryLoader import libraryLoader
from DPLSegmentModule.PreparedRun import PreparedRun
from DPLSegmentModule.ResultHistory import ResultHistory
from DPLSegmentModule.ResultWriter import AppliedResult
from DPLSegmentModule.RunCompletion import writeResults
from DPLSegmentModule.RunErrors import sentenceFor
from DPLSegmentModule.RunInputs import RunInputs
from DPLSegmentModule.RunMemory import checkMemory
from DPLSegmentModule.SceneClosing import forgetOnSceneClose
from DPLSegmentModule.SegmentationJob import JobOutcome, RunOptions, runJob
from DPLSegmentModule.SegmentationWorker import SegmentationWorker
from DPLSegmentModule.SegmenterStore import SegmenterStore
from DPLSegmentModule.SegmentUncertainty import SegmentUncertainty
from DPLSegmentModule.SupportReader import SupportSummary
from DPLSegmentModule.SupportSummaryCache import SupportSummaryCache
from DPLSegmentModule.UncertaintyDisplay import UncertaintyDisplay


class DPLSegmentLogic(ScriptedLoadableModuleLogic):
    """One-shot segmentation of volume nodes. All methods are for the main thread.

    The loaded network and the scans it has encoded are kept between runs, until the scene is closed.
    """

    def __init__(
        self,
        dependencies: TorchDependency | None = None,
        segmenterFactory: Callable[[RunOptions], Any] | None = None,
    ) -> None:
        """
        Args:
            dependencies: finds, installs and loads PyTorch.
            segmenterFactory: makes a ``DPLSegmentLib.OneShotSegmenter`` for the options; may be called in a thread.
        """
        ScriptedLoadableModuleLogic.__init__(self)
        self.dependencies = dependencies if dependencies is not None else TorchDependency()
        self._loadSegmenter = segmenterFactory if segmenterFactory is not None else libraryLoader(self.dependencies)
        self._segmenters = SegmenterStore(self._loadSegmenter)
        self._summaries = SupportSummaryCache()
        self._history = ResultHistory()
        self._uncertainty = UncertaintyDisplay()
        self._segmentUncertainty = SegmentUncertainty()
        self._run: BackgroundRun | None = None
        self._isSegmenting = False
        # Called when there is more, or less, to undo; set by the panel.
        self.onHistoryChanged: Callable[[], None] | None = None
        forgetOnSceneClose(self)

    def segment(
        self,
        *,
        queryVolumeNode: Any,
        supportSegmentationNode: Any,
        supportVolumeNode: Any = None,
        segmentIDs: Sequence[str] | None = None,
        outputSegmentationNode: Any = None,
        outputUncertaintyNode: Any = None,
        createUncertainty: bool = False,
        device: str = "auto",
        seed: int = 0,
        variants: int | None = None,
        weightsPath: str | None = None,
        progressCallback: Callable[[float, str], None] | None = None,
        shouldCancel: Callable[[], bool] | None = None,
    ) -> Any:
        """Segment one or several scans and wait for the result.

        Example, in the Python console:

        >>> logic = slicer.util.getModuleLogic("DPLSegment")
        >>> result = logic.segment(
        ...     queryVolumeNode=slicer.util.getNode("other scan"),
        ...     supportVolumeNode=slicer.util.getNode("annotated scan"),
        ...     supportSegmentationNode=slicer.util.getNode("annotation"),
        ...     progressCallback=lambda fraction, message: print(f"{fraction:.0%} {message}"),
        ... )

        Args:
            queryVolumeNode: the scan to segment, or a list of scans.
            supportSegmentationNode: the annotation, on one or more slices of the support volume.
            supportVolumeNode: the annotated scan; the one on which the segmentation was painted, or else the query, if
                None.
            segmentIDs: IDs of the segments to use; the visible ones if None.
            outputSegmentationNode: segmentation to write to; segments of the run are replaced by ID, others stay as
                they are. A new one beside the query if None.
            outputUncertaintyNode: volume for the uncertainty: how likely a voxel is wrong, in [0, 1].
            createUncertainty: make a new volume for the uncertainty.
            device: "auto", "cpu", "cuda", "cuda:N" or "mps".
            seed: of the diffusion noise.
            variants: how many variants of each prototype; as the weights were trained if None.
            weightsPath: a DPLSegment weights file; the bundled weights if None.
            progressCallback: called with a fraction in [0, 1] and a message.
            shouldCancel: asked several times a second; returning true stops the run.

        Returns:
            The vtkMRMLSegmentationNode with the result; for a list of scans, a list of them in the same order.

        Raises:
            InputError: (a ValueError) what is wrong and what to do, in one sentence; nothing in the scene has changed.
            Cancelled: ``shouldCancel`` returned true; nothing in the scene has changed.
        """
        from DPLSegmentLib.errors import Cancelled, InputError

        prepared = self.prepareJob(
            queryVolumeNode=queryVolumeNode,
            supportSegmentationNode=supportSegmentationNode,
            supportVolumeNode=supportVolumeNode,
            segmentIDs=segmentIDs,
            outputSegmentationNode=outputSegmentationNode,
            outputUncertaintyNode=outputUncertaintyNode,
            createUncertainty=createUncertainty,
            device=device,
            seed=seed,
            variants=variants,
            weightsPath=weightsPath,
        )
        self.dependencies.ensure()
        self._isSegmenting = True
        try:
            outcome = runJob(
                prepared.job,
                self._segmenters.get,
                progressCallback if progressCallback is not None else lambda fraction, message: None,
                shouldCancel if shouldCancel is not None else lambda: False,
            )
            if outcome.failures:
                raise InputError(outcome.failures[0].message)
            applied = self._write(prepared, outcome, [])
        except (InputError, Cancelled):
            raise
        except Exception as error:
            logging.exception("Segmenting failed.")
            raise InputError(sentenceFor(error)) from error
        finally:
            self._isSegmenting = False
        nodes = [result.segmentationNode for result in applied]
        return nodes if isinstance(queryVolumeNode, (list, tuple)) else nodes[0]

    def prepareJob(
        self,
        *,
        queryVolumeNode: Any,
        supportSegmentationNode: Any,
        supportVolumeNode: Any = None,
        segmentIDs: Sequence[str] | None = None,
        outputSegmentationNode: Any = None,
        outputUncertaintyNode: Any = None,
        createUncertainty: bool = False,
        device: str = "auto",
        seed: int = 0,
        variants: int | None = None,
        weightsPath: str | None = None,
    ) -> PreparedRun:
        """Check everything and copy what the run needs out of the scene; parameters as for :meth:`segment`.

        Raises:
            InputError: what is wrong, in one sentence; nothing has been copied, changed or installed.
        """
        self._requireIdle()
        queries = list(queryVolumeNode) if isinstance(queryVolumeNode, (list, tuple)) else [queryVolumeNode]
        uncertainty = bool(createUncertainty or outputUncertaintyNode is not None)
        options = RunOptions(device, seed, variants, weightsPath or None, uncertainty)
        inputs = RunInputs(
            queries,
            supportSegmentationNode,
            supportVolumeNode,
            segmentIDs,
            outputSegmentationNode,
            outputUncertaintyNode,
            options,
        )
        inputs.check()
        support = inputs.supportVolumeNode
        summary = self.supportSummary(support, supportSegmentationNode, segmentIDs)
        checkMemory(support, queries, len(summary.segments), uncertainty)
        return PreparedRun.of(inputs)

    def startBackgroundRun(
        self,
        prepared: PreparedRun,
        onProgress: Callable[[float, str], None] | None = None,
        onFinished: Callable[[list[AppliedResult]], None] | None = None,
        onFailed: Callable[[str], None] | None = None,
        onCancelled: Callable[[], None] | None = None,
    ) -> BackgroundRun:
        """Segment in the background; callbacks are called on the main thread, see :class:`BackgroundRun`.

        PyTorch is installed first if it is missing, after asking.

        Raises:
            InputError: a run is under way, or PyTorch is missing and was not installed.
        """
        self._requireIdle()
        self.dependencies.ensure()
        self._requireIdle()  # installing processes events
        run = BackgroundRun(
            SegmentationWorker(prepared.job, self._segmenters.get),
            lambda outcome: self._write(prepared, outcome.results, run.notes),
            onProgress,
            onFinished,
            onFailed,
            onCancelled,
            self._onRunEnded,
            lambda: any(query.isPresent for query in prepared.queries),
        )
        self._run = run
        run.start()
        return run

    @property
    def isRunning(self) -> bool:
        """Whether a segmentation is under way."""
        return self._isSegmenting or (self._run is not None and self._run.isRunning)

    def reasonNotReady(
        self,
        supportVolumeNode: Any,
        supportSegmentationNode: Any,
        queryVolumeNodes: Sequence[Any],
        outputSegmentationNode: Any = None,
        outputUncertaintyNode: Any = None,
        weightsPath: str | None = None,
    ) -> str:
        """Why :meth:`segment` could not succeed with these inputs, in one sentence; "" if it could. Cheap."""
        from DPLSegmentLib.errors import InputError

        inputs = RunInputs(
            list(queryVolumeNodes),
            supportSegmentationNode,
            supportVolumeNode,
            None,
            outputSegmentationNode,
            outputUncertaintyNode,
            RunOptions(weightsPath=weightsPath or None),
        )
        try:
            inputs.check()
            self._summaries.get(inputs.supportVolumeNode, supportSegmentationNode)
        except InputError as error:
            return str(error)
        return ""

    def supportSummary(
        self, supportVolumeNode: Any, supportSegmentationNode: Any, segmentIDs: Sequence[str] | None = None
    ) -> SupportSummary:
        """What was found in the annotation. Raises InputError when there is nothing usable."""
        return self._summaries.get(supportVolumeNode, supportSegmentationNode, segmentIDs)

    def supportText(self, supportVolumeNode: Any, supportSegmentationNode: Any) -> str:
        """One line about the annotation: what was found, or what is missing."""
        return self._summaries.text(supportVolumeNode, supportSegmentationNode)

    def forget(self) -> None:
        """Let go of the network, the encoded scans and everything else that belongs to the scene."""
        self._summaries.clear()
        self._history.clear()
        self._uncertainty.forget()
        self._segmentUncertainty.forget()
        self._replaceSegmenters()

    def canUndo(self) -> bool:
        """Whether the last result can be taken back."""
        return self._history.canUndo()

    def undo(self) -> None:
        """Take the last result back."""
        self._history.undo()
        if self.onHistoryChanged is not None:
            self.onHistoryChanged()

    def segmentsWithUncertainty(self, uncertaintyNode: Any) -> set[str]:
        """IDs of the segments that :meth:`segmentUncertainty` has a map of."""
        return self._segmentUncertainty.segmentIDs(uncertaintyNode)

    def segmentUncertainty(self, uncertaintyNode: Any, segmentID: str) -> Any:
        """The uncertainty of one segment alone, a volume beside the map of all segments; made when first asked for.

        Args:
            uncertaintyNode: the map that a run made (``createUncertainty=True``).
            segmentID: ID of a segment of that run.

        Returns:
            The volume; None if there is no map of this segment, and none can be made because the result was computed
            before the scene was loaded.
        """
        return self._segmentUncertainty.node(uncertaintyNode, segmentID)

    def showUncertainty(self, uncertaintyNode: Any, opacity: float = 0.5) -> None:
        """Show an uncertainty volume over the scans in the slice views, with a legend."""
        self._uncertainty.show(uncertaintyNode, opacity)

    def hideUncertainty(self, uncertaintyNode: Any = None) -> None:
        """Hide an uncertainty volume and its legend."""
        self._uncertainty.hide(uncertaintyNode)

    def showSurfaces(self, segmentationNode: Any, on: bool) -> None:
        """Show a segmentation in the 3-D views, or not."""
        if on:
            segmentationNode.CreateClosedSurfaceRepresentation()
        display = segmentationNode.GetDisplayNode()
        if display is not None:
            display.SetVisibility3D(bool(on))

    def _replaceSegmenters(self) -> None:
        # A thread that has not ended yet may still be using the old store; a new one keeps the two apart.
        self._segmenters = SegmenterStore(self._loadSegmenter)

    def _requireIdle(self) -> None:
        from DPLSegmentLib.errors import InputError

        if self.isRunning:
            raise InputError(Messages.ALREADY_RUNNING)

    def _onRunEnded(self, run: BackgroundRun) -> None:
        self._run = None
        # A network in use by a thread that was left behind is not shared; one that fell back to the CPU for a scan that
        # was too large may use the GPU for the next.
        if run.isThreadAlive or run.notes:
            self._replaceSegmenters()

    def _write(self, prepared: PreparedRun, outcome: JobOutcome | None, notes: list[str]) -> list[AppliedResult]:
        applied = writeResults(prepared, outcome, notes)
        self._history.add(applied)
        self._segmentUncertainty.add(applied)
        if self.onHistoryChanged is not None:
            self.onHistoryChanged()
        return applied
