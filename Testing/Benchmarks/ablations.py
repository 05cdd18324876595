"""What each part of the enhancement is worth for another patient (R1): rows of one table, each with several seeds.

Encoder, matching and decoders are those of the bundled weights. The reverse process begins anew for every row that
trains it, sees the same episodes for as many updates, and is then used on the same pairs of scans; a row that changes
inference alone uses the one trained in full. Seeds change how it begins, the episodes, and the noise of the variants.
What is finished stays in the output folder, so a stopped run goes on.
Needs the installed project with its ``benchmark`` and ``training`` extras.

    python -m DPLSegmentLib.training.cache --data SCANS --bodies 225 --pairs 110 --output CACHE
    python Testing/Benchmarks/ablations.py --cache CACHE --data DIR --set chaos_t2 --output OUT
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from ablation_parts import REFERENCE, ROWS, Row, Training

from DPLSegmentLib import InputError, OneShotSegmenter
from DPLSegmentLib.checkpoint import load_weights
from DPLSegmentLib.evaluation.comparison import compare
from DPLSegmentLib.evaluation.methods import DplMethod
from DPLSegmentLib.evaluation.protocols import PROTOCOLS, make_episode
from DPLSegmentLib.evaluation.results import SETTINGS, ResultFile, agree, read_rows
from DPLSegmentLib.evaluation.results import Row as Score
from DPLSegmentLib.evaluation.scans import folds, load_scan, scan_names
from DPLSegmentLib.evaluation.scoring import score
from DPLSegmentLib.evaluation.tables import figure_text, markdown, pair_values
from DPLSegmentLib.model import DPLModel
from DPLSegmentLib.training.cache import DataConfig, prepare_cache
from DPLSegmentLib.training.configs import named_config
from DPLSegmentLib.training.loop import Trainer
from DPLSegmentLib.training.pool import TrainingPool, pool_scan
from DPLSegmentLib.training.training_scan import TrainingScan
from DPLSegmentLib.writing import write_json

PROTOCOL = PROTOCOLS["R1"]


def pairs_of_scans(data: Path, set_name: str, count: int) -> list[tuple[str, str, str]]:
    """(fold, support, query): of each fold one support and ``count`` queries, always the same."""
    chosen = []
    for number, names in enumerate(folds(scan_names(data, set_name))):
        support, *others = random.Random(number).sample(names, len(names))
        chosen += [(str(number), support, query) for query in others[:count]]
    return chosen


class Ablation:
    """One model whose reverse process is changed from row to row; scans stay encoded meanwhile."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.pairs = pairs_of_scans(options.data, options.set, options.pairs)
        self._pool: TrainingPool | None = None
        self._model, info = load_weights(options.weights)
        fixed = {"set": options.set, "pairs": options.pairs, "updates": options.updates}
        agree(options.output, fixed, {"": info.sha256})
        options.output.mkdir(parents=True, exist_ok=True)
        write_json(options.output / SETTINGS, {"settings": fixed, "weights": {"": {"sha256": info.sha256}}})
        self._segmenter = OneShotSegmenter(self._model, info, torch.device("cpu"))
        self._segmenter.keep_scans(len({name for _, *scans in self.pairs for name in scans}))

    @property
    def pool(self) -> TrainingPool:
        """The scans of the episodes; loaded when first asked for."""
        if self._pool is None:
            files = prepare_cache(DataConfig((self.options.cache,)), self.options.cache)
            scans = [entry for path in files for entry in pool_scan(TrainingScan.load(path))]
            self._pool = TrainingPool(scans, dict(named_config("pairs").shares))
        return self._pool

    def model(self, row: Row, seed: int) -> DPLModel:
        """The bundled weights with the reverse process that a row is about."""
        model, _ = load_weights(self.options.weights)
        if row.training is not None:
            self._train(model, row.training, seed)
        if row.change is not None:
            row.change(model, lambda: self.pool, seed)
        model.config = replace(model.config, enhancement=replace(model.config.enhancement, **row.settings))
        return model

    def _train(self, model: DPLModel, training: Training, seed: int) -> None:
        """Give the model the averaged weights of this training; it is done once."""
        torch.manual_seed(seed)
        training.prepare(model)
        folder, updates = self.options.output / "trained" / f"{training.name}-{seed}", self.options.updates
        config = replace(named_config("pairs"), updates=updates, warmup=10, seed=seed)
        trainer = Trainer(config, self.pool, folder, model)
        trainer.resume()
        if trainer.update < updates:
            with training.losses():
                trainer.run(quiet=True)
        model.load_state_dict(trainer.average)

    def scores(self, row: Row, seed: int) -> list[Score]:
        """All labels of all pairs, each pair kept as soon as it is known."""
        folder = folder_of(self.options.output, row) / str(seed)
        folder.mkdir(parents=True, exist_ok=True)
        results = ResultFile(folder)
        results.open()
        known = {(one.fold, one.support, one.query) for one in results.rows.values()}
        missing = [pair for pair in self.pairs if pair not in known]
        if missing:
            changed = self.model(row, seed)
            self._model.config = changed.config
            for part in ("denoiser", "similarity", "cross"):
                setattr(self._model, part, getattr(changed, part).eval())
            method = DplMethod(self._segmenter)
            for fold, support, query in missing:
                scans = [load_scan(self.options.data, self.options.set, name) for name in (support, query)]
                episode = make_episode(PROTOCOL, *scans, 1)
                began = time.perf_counter()
                prediction = method.segment(episode, seed)
                facts = {"method": "dpl", "seed": seed, "fold": fold, "seconds": time.perf_counter() - began}
                results.add(score(episode, prediction, tolerance=None, **facts))
        return list(results.rows.values())


def folder_of(output: Path, row: Row) -> Path:
    """Where a row's scores lie, a folder for each seed."""
    return output / "rows" / row.slug


def stored_scores(output: Path, row: Row) -> list[Score]:
    """What is known of a row, all seeds together."""
    return [one for folder in sorted(folder_of(output, row).glob("*")) for one in read_rows(folder)]


def mean_of(scores: list[Score]) -> float:
    """Mean over labels, then over pairs."""
    values = pair_values(scores, lambda one: one.dice).values()
    return sum(values) / len(values)


def table(output: Path, rows: list[Row]) -> str:
    """Markdown: each row's seeds, their mean, and the paired difference from the method in full."""
    lines = []
    reference = stored_scores(output, REFERENCE)
    for row in rows:
        scores = stored_scores(output, row)
        seeds = [mean_of([one for one in scores if one.seed == seed]) for seed in sorted({one.seed for one in scores})]
        cells = [row.name, f"{sum(seeds) / len(seeds):.3f}", ", ".join(f"{value:.3f}" for value in seeds)]
        if row is REFERENCE:
            lines.append([*cells, "", ""])
            continue
        change = compare(reference, scores)[0]
        difference = figure_text(change.difference, change.low, change.high, 4)
        lines.append([*cells, difference, f"{change.p_value:.3f}"])
    return markdown(["", "Dice", "by seed", "difference", "p"], lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="prepared training data")
    parser.add_argument("--data", type=Path, required=True, help="folder that contains the set's folder")
    parser.add_argument("--set", default="chaos_t2", help="set of scans")
    parser.add_argument("--weights", type=Path, help="weights file (default: the bundled one)")
    parser.add_argument("--updates", type=int, default=100, help="of each training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pairs", type=int, default=2, help="queries of each fold, from one support")
    parser.add_argument("--rows", nargs="+", help="these rows only, by name")
    parser.add_argument("--output", type=Path, required=True, help="folder; what it holds is not done again")
    options = parser.parse_args()
    rows = [row for row in ROWS if options.rows is None or row.name in options.rows or row is REFERENCE]
    if unknown := set(options.rows or ()) - {row.name for row in ROWS}:
        parser.error(
            f"there is no row {', '.join(sorted(unknown))}; choose from: {', '.join(row.name for row in ROWS)}"
        )
    try:
        ablation = Ablation(options)
        for number, seed in enumerate(options.seeds):
            for row in rows:
                if number > 0 and row.certain:
                    continue
                print(f"{row.name}, seed {seed}: {mean_of(ablation.scores(row, seed)):.4f}", flush=True)
    except InputError as error:
        parser.error(str(error))
    text = table(options.output, rows)
    (options.output / "table.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
