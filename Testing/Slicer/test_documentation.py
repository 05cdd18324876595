"""The documentation keeps up with the module: messages, labels, code examples, links and version."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
import shown_messages
from shown_messages import ROOT, Message

TROUBLESHOOTING = ROOT / "Resources" / "Docs" / "Troubleshooting.md"
PAGES = sorted([ROOT / "README.md", *(ROOT / "Resources" / "Docs").glob("*.md")])
PICTURES = ("1-load.png", "2-paint.png", "3-segment.png", "4-result.png", "5-uncertainty.png")


def _joined(text: str) -> str:
    return " ".join(text.split())


def _entries() -> dict[str, str]:
    """Message to explanation, of the list items that start with a message in bold."""
    text = TROUBLESHOOTING.read_text(encoding="utf-8")
    items = re.findall(r"^- \*\*(.+?)\*\*(.*?)(?=^- |^#|\Z)", text, re.DOTALL | re.MULTILINE)
    return {_joined(message): _joined(explanation) for message, explanation in items}


def _messages() -> list[Message]:
    return shown_messages.module_messages() + shown_messages.library_messages()


def _code(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_messages_are_found_in_module_and_library():
    texts = [message.text for message in _messages()]
    assert len(shown_messages.module_messages()) > 20
    assert "The annotation is empty; mark each structure on at least one slice." in texts
    assert "The query … is not a scalar volume; choose a CT or MR scan." in texts


def test_every_message_is_explained():
    entries = _entries()
    missing = [
        f"{message.source}: {message.text}"
        for message in _messages()
        if not any(message.matches(entry) for entry in entries)
    ]
    assert missing == []


def test_no_message_is_explained_that_does_not_exist():
    messages = _messages()
    stale = [entry for entry in _entries() if not any(message.matches(entry) for message in messages)]
    assert stale == []


def test_every_explanation_says_something():
    assert [entry for entry, explanation in _entries().items() if len(explanation.split()) < 5] == []


def test_links_and_pictures_exist():
    lost = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            path = target.split("#")[0]
            if path and "://" not in target and not (page.parent / path).exists():
                lost.append(f"{page.name}: {target}")
    assert lost == []


@pytest.mark.parametrize("page", ["Tutorial.md", "Installation.md"])
def test_labels_in_bold_are_labels_of_the_panel(page):
    known = shown_messages.module_texts() | {json.loads((ROOT / "DPLSegment.json").read_text())["category"]}
    text = (ROOT / "Resources" / "Docs" / page).read_text(encoding="utf-8")
    labels = {_joined(label) for label in re.findall(r"\*\*(.+?)\*\*", text, re.DOTALL)}
    # Emphasis is lower case; a label starts with a capital or a number.
    labels = {label for label in labels if label[0].isupper() or label[0].isdigit()}
    assert labels - known == set()
    assert "Segment" in labels


def test_the_tutorial_shows_the_five_pictures():
    text = (ROOT / "Resources" / "Docs" / "Tutorial.md").read_text(encoding="utf-8")
    assert re.findall(r"Screenshots/(\d-[a-z]+\.png)", text) == list(PICTURES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples_are_python(page):
    for code in _code(page):
        ast.parse(code)


def test_console_examples_use_arguments_that_exist():
    logic = ast.parse((shown_messages.MODULE / "DPLSegmentModule" / "DPLSegmentLogic.py").read_text(encoding="utf-8"))
    segment = next(node for node in ast.walk(logic) if isinstance(node, ast.FunctionDef) and node.name == "segment")
    known = {argument.arg for argument in segment.args.kwonlyargs}
    used = set()
    for page in PAGES:
        for code in _code(page):
            for call in ast.walk(ast.parse(code)):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "logic.segment":
                    assert not call.args, ast.unparse(call)
                    used |= {keyword.arg for keyword in call.keywords}
    assert used and used <= known


def test_the_citation_names_this_version_and_the_paper():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    version = re.search(r'"([^"]+)"', (ROOT / "DPLSegmentLib" / "version.py").read_text(encoding="utf-8").split("=")[1])
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE).group(1).strip('"') == version.group(1)
    assert "2510.12159" in citation
    entry = json.loads((ROOT / "DPLSegment.json").read_text(encoding="utf-8"))
    assert entry["scm_url"] in citation
