"""The evaluate and compare commands, from files to tables."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk
from scans import BALL, phantom

from DPLSegmentLib import Volume
from DPLSegmentLib.checkpoint import load_weights, save_weights
from DPLSegmentLib.cli import main
from DPLSegmentLib.evaluation.methods import PluginMethod
from DPLSegmentLib.evaluation.results import read_rows

COPY = """
def scores(image, spacing, annotation):
    for label, slices in annotation.items():
        mask = next(iter(slices.values()))
        yield label, mask[None].repeat(len(image), 0).astype("float32")
"""
NOTHING = """
def scores(image, spacing, annotation):
    for label in annotation:
        yield label, 0.0 * image.astype("float32")
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with a set of three small scans, the ball alone labelled, and a plugin folder."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "balls").mkdir()
    for number, shift in ((2, 0.0), (3, 0.08), (10, -0.08)):
        volume, truth = phantom((6, 24, 24), (8.0, 8.0, 8.0), shift=(0.0, shift, 0.0), seed=number)
        write(folder / "balls" / f"image_{number}.nii.gz", volume.array, volume)
        write(folder / "balls" / f"label_{number}.nii.gz", np.where(truth == BALL, 1, 0).astype(np.uint8), volume)
    (folder / "balls" / "labels.json").write_text('{"1": "ball"}')
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "__init__.py").write_text('METHODS = {"copy": "copying", "nothing": "nothing"}\n')
    (plugins / "copying.py").write_text(COPY)
    (plugins / "nothing.py").write_text(NOTHING)
    return folder


def write(path, array, volume: Volume) -> None:
    sitk.WriteImage(Volume(array, volume.ijk_to_world).to_sitk(), str(path))


def arguments(data, output, protocol="S1", methods="copy", **more) -> list[str]:
    words = ["evaluate", "--protocol", protocol, "--data", data, "--set", "balls", "--output", output, "--quiet"]
    words += ["--methods", methods, "--plugins", data / "plugins", "--device", "cpu"]
    for name, value in more.items():
        words += [f"--{name.replace('_', '-')}", value]
    return [str(word) for word in words]


def test_scores_tables_figure_and_settings_come_out(data, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(arguments(data, output, methods="copy,nothing,local")) == 0
    shown = capsys.readouterr().out
    assert sorted(path.name for path in output.iterdir()) == [
        "figure.png",
        "report.md",
        "results.csv",
        "settings.json",
        "summary.csv",
    ]
    rows = read_rows(output)
    assert [row.query for row in rows if row.method == "copy"] == ["2", "3", "10"]
    assert all(row.dice == 0 and row.hd95 > 0 for row in rows if row.method == "nothing")
    copied = [row.dice for row in rows if row.method == "copy"]
    assert min(copied) > 0.5 and f"{np.mean(copied):.3f}" in shown and "ball" in shown
    with (output / "summary.csv").open() as stream:
        cells = {(cell["method"], cell["organ"], cell["measure"]): cell for cell in csv.DictReader(stream)}
    cell = cells["copy", "mean", "dice"]
    assert float(cell["value"]) == pytest.approx(np.mean(copied), abs=1e-5)
    assert float(cell["low"]) <= float(cell["value"]) <= float(cell["high"]) and cell["pairs"] == "3"
    assert ("local", "ball", "auroc") in cells and ("copy", "ball", "auroc") not in cells
    settings = json.loads((output / "settings.json").read_text())
    assert settings["settings"]["protocol"] == "S1" and len(settings["weights"]["all"]["sha256"]) == 64
    assert sitk.ReadImage(str(output / "figure.png")).GetSize()[0] > 300


def test_a_figure_needs_no_matplotlib(data, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(arguments(data, tmp_path / "out")) == 0
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "figure.png")))
    assert (picture.min(axis=-1) < picture.max(axis=-1)).any()  # coloured dots


def test_a_stopped_run_goes_on_where_it_was(data, tmp_path, monkeypatch, capsys):
    output, segment, seen = tmp_path / "out", PluginMethod.segment, []

    def stopping(self, episode, seed):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(episode.query.name)
        return segment(self, episode, seed)

    monkeypatch.setattr(PluginMethod, "segment", stopping)
    assert main(arguments(data, output)) == 130
    assert "goes on" in capsys.readouterr().err
    assert [row.query for row in read_rows(output)] == ["2", "3"]
    with (output / "results.csv").open("a") as stream:
        stream.write("copy,0,all,10,10,1,ba")  # killed while writing a line
    monkeypatch.setattr(PluginMethod, "segment", lambda self, e, s: (seen.append(e.query.name), segment(self, e, s))[1])
    assert main(arguments(data, output)) == 0
    assert seen == ["2", "3", "10"] and len(read_rows(output)) == 3
    assert main(arguments(data, output)) == 0
    assert seen == ["2", "3", "10"]
    once = tmp_path / "once"
    assert main(arguments(data, once)) == 0
    facts = [[(row.query, row.dice, row.hd95) for row in read_rows(folder)] for folder in (output, once)]
    assert facts[0] == facts[1]


def test_results_of_other_settings_or_weights_do_not_mix(data, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(arguments(data, output, methods="pooled", limit=1)) == 0
    before = (output / "results.csv").read_bytes()
    assert main(arguments(data, output, methods="pooled", limit=1, annotated_slices=3)) == 2
    assert "annotated_slices = 1, not 3" in capsys.readouterr().err
    model, _ = load_weights()
    model.decoder.presence[-1].bias.data += 0.5
    save_weights(model, model.state_dict(), tmp_path / "w.pt", {})
    assert main(arguments(data, output, methods="pooled", limit=1, weights=tmp_path / "w.pt")) == 2
    assert "other weights" in capsys.readouterr().err
    assert (output / "results.csv").read_bytes() == before


def test_every_scan_of_a_fold_is_the_support_of_the_others(data, tmp_path):
    output = tmp_path / "out"
    assert main(arguments(data, output, "EP1", "pooled,local", fold="each")) == 0
    pairs = {(row.fold, row.support, row.query) for row in read_rows(output)}
    assert pairs == {("0", one, other) for one in ("2", "3", "10") for other in ("2", "3", "10") if one != other}
    report = (output / "report.md").read_text()
    assert "Dice from each support: pooled" in report and "| 0 | 10 |" in report
    some = tmp_path / "some"
    assert main(arguments(data, some, "R1", "local", supports="10")) == 0
    assert {(row.support, row.query) for row in read_rows(some)} == {("10", "2"), ("10", "3")}


def test_seeds_are_repeated_for_methods_that_have_any(data, tmp_path):
    output = tmp_path / "out"
    assert main(arguments(data, output, "R1", "dpl,pooled", limit=2, supports="2", seeds=2, variants=2)) == 0
    rows = read_rows(output)
    assert [(row.method, row.seed) for row in rows] == [("dpl", 0), ("dpl", 1), ("pooled", 0)]
    assert json.loads((output / "settings.json").read_text())["settings"]["enhancement"] == {"variants": "2"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"set": "cubes"}, "no scans"),
        ({"methods": "magic"}, "no method 'magic'"),
        ({"protocol": "R1"}, "works inside one scan"),
        ({"protocol": "R9"}, "invalid choice"),
        ({"fold": "7"}, "no fold 7"),
        ({"supports": "2"}, "its own support"),
        ({"protocol": "R1", "methods": "local", "supports": "99"}, "pair of a support"),
        ({"protocol": "R1", "methods": "local", "limit": "1"}, "pair of a support"),
        ({"limit": "0"}, "at least 1"),
        ({"annotated_slices": "0"}, "annotated slices is 0"),
        ({"tolerance": "-1"}, "tolerance"),
        ({"weights": "fold{fold}.pt"}, "give --fold too"),
        ({"methods": "dpl", "weights": "absent.pt"}, "cannot be read"),
        ({"methods": "dpl", "enhancement": "alpha"}, "KEY=VALUE"),
        ({"methods": "dpl", "enhancement": "alpha=0.1"}, "enhancement cannot be set so"),
        ({"plugins": "nowhere"}, "no __init__.py"),
    ],
)
def test_bad_input_gets_one_sentence_and_nothing_is_written(data, tmp_path, capsys, change, message):
    output = tmp_path / "out"
    assert main(arguments(data, output, **change)) == 2
    said = capsys.readouterr()
    assert message in said.err and said.err.count("\n") == 1 and said.out == ""
    assert not output.exists()


def test_a_scan_without_its_label_map_is_found_before_anything_runs(data, tmp_path, capsys):
    folder = tmp_path / "data" / "balls"
    folder.mkdir(parents=True)
    (folder / "image_1.nii.gz").write_bytes((data / "balls" / "image_2.nii.gz").read_bytes())
    words = arguments(data, tmp_path / "out")
    words[words.index("--data") + 1] = str(tmp_path / "data")
    assert main(words) == 2
    assert "label_1.nii.gz' is missing" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_two_evaluations_are_compared_pair_by_pair(data, tmp_path, capsys):
    one = tmp_path / "one"
    assert main(arguments(data, one, methods="copy,nothing")) == 0
    mean = np.mean([row.dice for row in read_rows(one) if row.method == "copy"])
    capsys.readouterr()
    assert main(["compare", f"{one}:nothing", f"{one}:copy", "--output", str(tmp_path / "table.md")]) == 0
    shown = capsys.readouterr().out
    assert f"| mean | 0.000 | {mean:.3f} | {mean:.4f} [" in shown and "| 0.2500 | 3 / 3 |" in shown
    assert (tmp_path / "table.md").read_text().strip() == shown.strip()
    for words, message in (
        ([str(tmp_path), str(one)], "no results.csv"),
        ([f"{one}:dpl", str(one)], "no results of 'dpl'"),
    ):
        assert main(["compare", *words]) == 2
        assert message in capsys.readouterr().err
    other = tmp_path / "other"
    assert main(arguments(data, other, "R1", "local", supports="2")) == 0
    capsys.readouterr()
    assert main(["compare", f"{one}:copy", f"{other}:local"]) == 2
    assert "differ in their protocol" in capsys.readouterr().err
