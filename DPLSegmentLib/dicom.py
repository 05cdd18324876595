"""Reading a folder of DICOM files as one volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .errors import InputError

_POSITION, _ORIENTATION = "0020|0032", "0020|0037"
# Scanners round positions; more than this share of the slice distance is a missing or tilted slice.
_TOLERANCE = 0.05


def read_dicom_folder(folder: Path) -> sitk.Image:
    """The series with most slices in ``folder``, sorted along its normal.

    Raises InputError when there is no series, when several are equally long, when slices are missing or
    repeated, or when they are sheared (gantry tilt).
    """
    series = {
        key: sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), key)
        for key in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    }
    if not series:
        raise InputError(f"The folder '{folder}' holds no DICOM series; give the folder that contains the slices.")
    longest = max(len(files) for files in series.values())
    candidates = [files for files in series.values() if len(files) == longest]
    if len(candidates) > 1:
        raise InputError(
            f"The folder '{folder}' holds {len(candidates)} DICOM series of {longest} slices each; "
            "put the one to use into a folder of its own."
        )
    files = candidates[0]
    if len(files) == 1:
        return sitk.ReadImage(files[0])
    _require_regular_slices(files, folder)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(files)
    return reader.Execute()


def _require_regular_slices(files: tuple[str, ...], folder: Path) -> None:
    headers = [_header(file) for file in files]
    try:
        positions = np.array([_floats(header[_POSITION]) for header in headers]).reshape(-1, 3)
        orientations = np.array([_floats(header[_ORIENTATION]) for header in headers]).reshape(-1, 6)
    except (KeyError, ValueError):
        raise InputError(f"The DICOM series in '{folder}' lacks slice positions; convert it first.") from None
    if np.abs(orientations - orientations[0]).max() > 1e-3:
        raise InputError(f"The DICOM series in '{folder}' has slices of different orientations; separate them.")
    steps = np.diff(positions, axis=0)
    distances = np.linalg.norm(steps, axis=1)
    usual = float(np.median(distances))
    if usual <= 0 or np.abs(distances - usual).max() > _TOLERANCE * usual:
        raise InputError(
            f"The slices of the DICOM series in '{folder}' are not evenly spaced ({distances.min():.4g} to "
            f"{distances.max():.4g} mm); add the missing slices or resample the scan."
        )
    normal = np.cross(orientations[0, :3], orientations[0, 3:])
    if np.linalg.norm(steps - np.outer(steps @ normal, normal), axis=1).max() > _TOLERANCE * usual:
        raise InputError(f"The DICOM series in '{folder}' was taken with a tilted gantry; resample it first.")


def _header(file: str) -> dict[str, str]:
    reader = sitk.ImageFileReader()
    reader.SetFileName(file)
    reader.ReadImageInformation()
    return {key: reader.GetMetaData(key) for key in (_POSITION, _ORIENTATION) if reader.HasMetaDataKey(key)}


def _floats(text: str) -> list[float]:
    return [float(part) for part in text.split("\\")]
