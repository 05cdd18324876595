"""What the Extensions Index reads: the catalogue entry, the CMake file and the licence agree and are complete."""

from __future__ import annotations

import json
import re
import struct

import pytest
from cmake_project import ROOT

_ENTRY = ROOT / "DPLSegment.json"
_RAW = "https://raw.githubusercontent.com/DPLSegment/SlicerDPLSegment/main/"
# Keys of version 1.0.1 of the catalogue entry; the index allows no others.
_REQUIRED = {"$schema", "category", "scm_url"}
_OPTIONAL = {"scm_revision", "scm_type", "build_dependencies", "build_subdirectory", "enabled", "tier"}


@pytest.fixture(scope="module")
def entry() -> dict:
    return json.loads(_ENTRY.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def cmake() -> str:
    return (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def description(extension) -> dict[str, str]:
    """The description that the build writes from EXTENSION_* variables."""
    lines = (extension.build / "DPLSegment.s4ext").read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines)


def _literal(cmake: str, name: str) -> str:
    """The index looks for the addresses as quoted text, not through CMake."""
    found = re.findall(rf'set\s*\({name}\s*"([^"]+)"\s*\)', cmake)
    assert len(found) == 1, name
    assert "$" not in found[0]
    return found[0]


def test_the_catalogue_entry_has_the_keys_of_its_schema(entry):
    assert set(entry) >= _REQUIRED
    assert set(entry) <= _REQUIRED | _OPTIONAL
    assert entry["$schema"].endswith("/Schemas/slicer-extension-catalog-entry-schema-v1.0.1.json#")
    assert entry["scm_type"] == "git"
    assert entry["tier"] in range(1, 6)


def test_the_entry_says_what_cmake_says(entry, description):
    assert description["name"] == _ENTRY.stem
    assert description["category"] == entry["category"] == "Segmentation"
    assert description["depends"].split() == entry["build_dependencies"]
    assert description["homepage"] == entry["scm_url"]


def test_the_repository_is_named_after_the_extension(entry):
    assert entry["scm_url"].rsplit("/", 1)[1] == f"Slicer{_ENTRY.stem}"


def test_the_first_project_in_cmake_is_the_extension(cmake):
    assert re.findall(r"project\s*\(\s*([^\s)]+)", cmake)[0] == _ENTRY.stem


def test_icon_and_screenshots_are_files_of_this_repository(cmake):
    addresses = [_literal(cmake, "EXTENSION_ICONURL"), *_literal(cmake, "EXTENSION_SCREENSHOTURLS").split()]
    assert len(addresses) >= 2
    for address in addresses:
        assert address.startswith(_RAW)
        assert (ROOT / address.removeprefix(_RAW)).is_file(), address


def test_the_icon_is_a_square_png_of_128_pixels(cmake):
    icon = (ROOT / _literal(cmake, "EXTENSION_ICONURL").removeprefix(_RAW)).read_bytes()
    assert icon[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", icon[16:24]) == (128, 128)


def test_the_description_is_short_and_speaks_of_patents(description):
    assert len(re.findall(r"[.](?:\s|$)", description["description"])) <= 2
    assert "patents" in description["description"]


def test_the_licence_lies_where_the_index_looks():
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "needed",
    [
        "DPLSegment",
        "The extension has one module",
        "](Resources/Docs/Tutorial.md)",
        "](Resources/Docs/Installation.md)",
        "](Resources/Docs/Troubleshooting.md)",
        "](Resources/Screenshots/4-result.png)",
        "https://arxiv.org/abs/2510.12159",
        "CITATION.cff",
        "Apache-2.0",
        "no patents",
        "Nothing leaves your computer",
        "not a medical device",
    ],
)
def test_the_homepage_has_what_the_index_asks_for(needed):
    """The homepage of the extension is its README."""
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert needed in text
