"""The frame of the body: skin, fat, muscle wall, spine, ribs, pelvis and the lungs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .anatomy import Builder

Z, Y, X = 0, 1, 2


def build_frame(b: Builder) -> int:
    """Paint the frame; returns the label of the fat inside the abdominal wall, where organs go."""
    canvas, rng = b.canvas, b.rng
    everywhere = (slice(None),) * 3
    z, y, x = canvas.coordinates
    waist = 1 + 0.05 * np.sin(z / 95 + rng.uniform(0, 6)) + 0.01 * canvas.noise(everywhere)
    a, c = rng.uniform(150, 168), rng.uniform(98, 120)
    fat, wall = rng.uniform(6, 26), rng.uniform(8, 14)
    power = rng.uniform(2.1, 2.6)

    def layer(depth: float) -> list:
        # A flat back: the ellipse is squeezed towards posterior.
        high = np.where(y > 0, (c - depth) * 0.92, c - depth)
        level = np.abs(x / (a - depth)) ** power + np.abs(y / high) ** power
        return [(everywhere, level < waist**power)]

    skin = b.add("skin", "skin", layer(0), (0,))
    outer = b.add("subcutaneous fat", "fat", layer(rng.uniform(2, 3.5)), (skin,))
    muscle = b.add("muscle wall", "muscle", layer(fat), (outer,))
    inside = b.add("inner fat", "fat", layer(fat + wall), (muscle,))

    soft = (inside, muscle)
    spine_y = 0.5 * c
    for side, name in ((-1, "right"), (1, "left")):
        back = np.array([[t, spine_y + 24, side * 34] for t in (-320, 320)])
        b.add(f"{name} back muscle", "muscle", canvas.tube(back, rng.uniform(19, 23))[0], soft)
        psoas = np.array([[20, spine_y + 4, side * 24], [-60, spine_y, side * 36], [-190, spine_y - 35, side * 62]])
        b.add(f"{name} psoas", "muscle", canvas.tube(psoas, [7.0, 17.0, 15.0])[0], soft)
    everything = (*range(1, len(b.names) + 1),)
    _spine(b, spine_y, everything)
    _ribs(b, a - fat - wall / 2, c - fat - wall / 2, (inside, muscle, outer))
    _pelvis(b, spine_y, soft)
    _lungs(b, inside)
    return inside


def _spine(b: Builder, spine_y: float, over: tuple[int, ...]) -> None:
    rng, canvas = b.rng, b.canvas
    period, width = rng.uniform(30, 37), rng.uniform(19, 24)
    start = rng.uniform(-10, 10)
    body = b.add("vertebrae", "bone", [], over)
    disc = b.add("discs", "organ", [], over)
    arches = b.add("vertebral arches", "bone", [], over)
    canal = b.add("spinal canal", "fluid", [], over)
    cord = b.add("spinal cord", "organ", [], over)
    for k in range(-9, 10):
        z = start + k * period
        centre = (z, spine_y + 0.0004 * z * z - 4, 0.0)
        canvas.paint(
            disc,
            canvas.superquadric((z + period / 2, *centre[1:]), (period / 4, 15, width), 3, lumps=0.03)[0],
            over,
        )
        canvas.paint(body, canvas.superquadric(centre, (period * 0.39, 16, width), 4, lumps=0.04)[0], (*over, disc))
        canvas.paint(
            arches,
            canvas.superquadric((z, centre[1] + 32, 0), (period * 0.36, 15, 5), 3, lumps=0.05)[0],
            over,
        )
        canvas.paint(arches, canvas.superquadric((z, centre[1] + 20, 0), (7, 5, 34), 3, lumps=0.05)[0], over)
        canvas.paint(arches, canvas.superquadric((z, centre[1] + 19, 0), (period * 0.4, 13, 15), lumps=0.03)[0], over)
    path = np.array([[t, spine_y + 0.0004 * t * t + 16, 0.0] for t in range(-320, 321, 40)])
    outer, inner = canvas.tube(path, rng.uniform(8, 10), sizes=(1.0, 0.6))
    canvas.paint(canal, outer, (*over, arches, body))
    canvas.paint(cord, inner, (canal,))


def _ribs(b: Builder, a: float, c: float, over: tuple[int, ...]) -> None:
    rng, canvas = b.rng, b.canvas
    label = b.add("ribs", "bone", [], over)
    period, slope, thick = rng.uniform(26, 34), rng.uniform(35, 70), rng.uniform(4.2, 5.8)
    for k in range(12):
        z = 0 + k * period
        # The lowest ribs end at the flank, the upper ones reach the sternum.
        end = np.pi * (0.5 if k < 1 else 0.8 if k < 3 else 0.97)
        t = np.linspace(0.1 * np.pi, end, 16)
        for side in (-1, 1):
            path = np.stack([z + 20 - slope * t / np.pi * 1.4, c * np.cos(t) * 0.97, side * a * np.sin(t)], axis=1)
            canvas.paint(label, canvas.tube(path, thick)[0], over)
    sternum = np.array([[70.0, -c + 2, 0.0], [260.0, -c + 2, 0.0]])
    b.add("sternum", "bone", canvas.tube(sternum, 9.0)[0], over)


def _pelvis(b: Builder, spine_y: float, over: tuple[int, ...]) -> None:
    for side, name in ((-1, "right"), (1, "left")):
        wing = b.canvas.superquadric(
            b.near((-165, spine_y - 22, side * 88), 4),
            b.about((62, 58, 9)),
            2.5,
            (side * 0.75, side * 0.25, 0.0),
            0.06,
        )[0]
        b.add(f"{name} ilium", "bone", wing, over)


def _lungs(b: Builder, inside: int) -> None:
    top = b.rng.uniform(95, 130)
    for side, name in ((-1, "right"), (1, "left")):
        centre = b.near((top + 100, 8, side * 72), 4)
        radii = b.about((125, 78, 56), 0.08)
        b.add(f"{name} lung", "air", b.canvas.superquadric(centre, radii, 2.3, b.tilt(0.06), 0.05)[0], (inside,))
