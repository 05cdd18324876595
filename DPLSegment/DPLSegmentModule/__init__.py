"""The parts of the Slicer module DPLSegment, one class or idea a file."""
