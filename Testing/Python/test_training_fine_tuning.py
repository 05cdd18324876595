"""Fine-tuning: what it starts from stays the best until something better is found."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

pytest.importorskip("scipy")

from DPLSegmentLib.model import DPLModel
from DPLSegmentLib.synthetic import generate_anatomy
from DPLSegmentLib.training.bodies import body_scan
from DPLSegmentLib.training.configs import CONFIGS
from DPLSegmentLib.training.initial import initial_model
from DPLSegmentLib.training.loop import Trainer
from DPLSegmentLib.training.pool import TrainingPool, pool_scan

QUICK = replace(CONFIGS["quick"], backbone_rate=0.0, settled=True)


@pytest.fixture(scope="module")
def pool():
    anatomy = generate_anatomy(5, (16, 72, 72), (6.0, 5.0, 5.0))
    return TrainingPool(pool_scan(body_scan(anatomy, 5)), {"synthetic": 1.0})


class Validation:
    """Finds every set of weights better, or worse, than the one before."""

    decides = "synthetic"

    def __init__(self, change):
        self.figure, self.change = 0.5, change

    def __call__(self, config, average, device):
        self.figure += self.change
        return {"synthetic": self.figure}


@pytest.mark.parametrize(
    ("fine_tunes", "change", "best_update"),
    [(True, -0.1, 0), (True, 0.1, 2), (False, -0.1, 1)],
    ids=["getting worse", "getting better", "not from weights"],
)
def test_the_best_weights_are_never_worse_than_those_that_were_given(
    pool, tmp_path, capsys, fine_tunes, change, best_update
):
    torch.manual_seed(0)
    model = DPLModel()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    config = replace(QUICK, updates=2, validate_every=1)
    Trainer(config, pool, tmp_path, model, None, Validation(change), 0, fine_tunes).run()
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert best["update"] == best_update
    assert all(torch.equal(value, start[name]) for name, value in best["average"].items()) == (best_update == 0)
    assert ("no weights better than those" in capsys.readouterr().out) == (best_update == 0)
    rows = (tmp_path / "log.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == (["0", "1", "2"] if fine_tunes else ["1", "2"])


def taking(share: float, pool, folder) -> Trainer:
    torch.manual_seed(0)
    config = replace(QUICK, updates=2, taken=share)
    return Trainer(config, pool, folder, DPLModel(), fine_tunes=True)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_part_of_the_way_from_the_start_is_exported_and_training_itself_goes_all_of_it(pool, tmp_path, share):
    run, whole = taking(share, pool, tmp_path / "part"), taking(1.0, pool, tmp_path / "whole")
    run.run(quiet=True)
    whole.run(quiet=True)
    stored = torch.load(tmp_path / "part" / "checkpoint.pt", weights_only=True)
    for name, value in whole.average.items():
        assert torch.equal(run.average[name], value), name
        torch.testing.assert_close(stored["average"][name], (1 - share) * run.start[name] + share * value)
    initial = initial_model(tmp_path / "part" / "checkpoint.pt").state_dict()
    assert all(torch.equal(initial[name], value) for name, value in stored["average"].items())


def test_a_resumed_run_still_knows_where_it_started(pool, tmp_path):
    whole, first = taking(0.25, pool, tmp_path / "whole"), taking(0.25, pool, tmp_path / "parts")
    whole.run(quiet=True)
    first.config = replace(first.config, updates=1)
    first.run(quiet=True)
    second = taking(0.25, pool, tmp_path / "parts")
    second.start = {name: torch.zeros_like(value) for name, value in second.start.items()}
    assert second.resume() and second.update == 1
    second.config = replace(second.config, updates=2)
    second.run(quiet=True)
    assert all(torch.equal(value, second.outcome[name]) for name, value in whole.outcome.items())
