from __future__ import annotations

import torch
from helpers import seeded

from DPLSegmentLib.conditioning import GEOMETRY, STATISTICS
from DPLSegmentLib.denoiser import Denoiser
from DPLSegmentLib.schedule import CosineSchedule

CHANNELS, SUPPORTS = 8, 4
STEPS = (8, 15, 30, 60)


def test_the_denoiser_is_small_and_starts_as_the_identity():
    denoiser = Denoiser(64)
    assert sum(parameter.numel() for parameter in denoiser.parameters()) < 1_000_000
    residual = denoiser(
        torch.randn(3, 8, 64), torch.randn(3, 1, 64), 0.3, torch.randn(3, STATISTICS), torch.randn(GEOMETRY)
    )
    assert torch.equal(residual, torch.zeros(3, 8, 64))


def test_the_condition_and_the_step_steer_the_denoiser():
    torch.manual_seed(0)
    denoiser = Denoiser(16)
    torch.nn.init.normal_(denoiser.outputs.weight)
    noisy, clean = torch.randn(1, 4, 16), torch.randn(1, 1, 16)
    statistics, geometry = torch.zeros(1, STATISTICS), torch.zeros(GEOMETRY)
    reference = denoiser(noisy, clean, 0.3, statistics, geometry)
    for other in (
        denoiser(noisy, clean, 0.1, statistics, geometry),
        denoiser(noisy, clean, 0.3, statistics + 1, geometry),
        denoiser(noisy, clean, 0.3, statistics, geometry + 1),
        denoiser(noisy, clean + 1, 0.3, statistics, geometry),
    ):
        assert float((other - reference).detach().abs().max()) > 1e-3


def test_trained_on_gaussian_prototypes_it_approaches_the_best_possible_denoiser():
    """Query prototypes are normal around their support's; the posterior mean is then known in closed form."""
    generator, schedule = seeded(), CosineSchedule()
    clean = 2.0 * torch.randn(SUPPORTS, 1, CHANNELS, generator=generator)
    spread = torch.linspace(0.3, 1.5, CHANNELS)  # standard deviation of each component
    condition = torch.zeros(SUPPORTS, STATISTICS), torch.zeros(GEOMETRY)

    def draw(count: int, step: int):
        shape = (SUPPORTS, count, CHANNELS)
        truth = clean + spread * torch.randn(shape, generator=generator)
        return truth, schedule.forward_noise(truth, step, torch.randn(shape, generator=generator))

    torch.manual_seed(0)
    denoiser = Denoiser(CHANNELS, width=64, blocks=2, condition=32)
    optimiser = torch.optim.Adam(denoiser.parameters(), lr=4e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 320)
    for number in range(320):
        step = STEPS[number % len(STEPS)]
        truth, noisy = draw(64, step)
        loss = (clean + denoiser(noisy, clean, step / 100, *condition) - truth).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()

    for step in STEPS:
        truth, noisy = draw(2000, step)
        signal = schedule.alpha_bar[step]
        gain = signal.sqrt() * spread**2 / (signal * spread**2 + 1 - signal)
        best = clean + gain * (noisy - signal.sqrt() * clean)
        with torch.no_grad():
            ours = clean + denoiser(noisy, clean, step / 100, *condition)
        error = {
            name: float((x - truth).square().mean())
            for name, x in (("best", best), ("ours", ours), ("none", clean.expand_as(truth)))
        }
        assert error["best"] < error["none"]
        assert error["ours"] - error["best"] < 0.25 * (error["none"] - error["best"]), (step, error)
