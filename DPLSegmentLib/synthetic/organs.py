"""Organs of chest, abdomen and pelvis, painted into the fat inside the muscle wall."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .shapes import smooth_path, wander

if TYPE_CHECKING:
    from .anatomy import Builder


def build_organs(b: Builder, inside: int) -> dict[str, int]:
    """Paint the organs into label ``inside``; returns label by name. Some organs miss in some bodies."""
    rng, canvas = b.rng, b.canvas
    found: dict[str, int] = {}
    lungs = [label for label, name in b.names.items() if name.endswith("lung")]
    free = (inside,)
    _heart(b, (inside, *lungs), found)
    _kidneys(b, free, found)
    if rng.random() < 0.95:
        # The dome of the liver pushes the lung up.
        right = canvas.superquadric(b.near((42, -2, -78), 6), b.about((78, 76, 62), 0.1), 2.2, b.tilt(0.2), 0.1)[0]
        left = canvas.superquadric(b.near((52, -44, -8), 8), b.about((34, 30, 66), 0.15), 2.0, b.tilt(0.25), 0.12)[0]
        found["liver"] = b.add("liver", "organ", right + left, (inside, *lungs))
    if rng.random() < 0.95:
        pieces = canvas.superquadric(b.near((48, 42, 106), 5), b.about((48, 40, 22), 0.15), 2.2, b.tilt(0.3), 0.12)[0]
        found["spleen"] = b.add("spleen", "organ", pieces, (inside, *lungs))
    if rng.random() < 0.85 and "liver" in found:
        pieces = canvas.superquadric(b.near((-6, -42, -52), 6), b.about((26, 16, 14), 0.2), 2, b.tilt(0.4), 0.08)[0]
        found["gallbladder"] = b.add("gallbladder", "fluid", pieces, (inside, found["liver"]))
    _stomach(b, (inside, *lungs), found)
    if rng.random() < 0.9:
        points = [b.near(p, 4) for p in ((-2, 2, -38), (6, -8, -8), (14, 0, 30), (24, 18, 72))]
        path = smooth_path(points)
        found["pancreas"] = b.add(
            "pancreas",
            "organ",
            canvas.tube(path, np.linspace(14, 8, len(path)) * rng.uniform(0.8, 1.2))[0],
            free,
        )
    if rng.random() < 0.9:
        wall, content = canvas.superquadric(
            b.near((-185, -30, 0), 6), b.about((34, 34, 42), 0.25), 2.2, b.tilt(0.15), 0.06, sizes=(1.0, 0.88)
        )
        shell = b.add("bladder wall", "muscle", wall, free)
        found["bladder"] = b.add("bladder", "fluid", content, (shell,))
    _colon(b, free)
    _small_bowel(b, free)
    _extras(b, free)
    _lesions(b, found)
    return found


def _heart(b: Builder, over: tuple[int, ...], found: dict[str, int]) -> None:
    angles = np.array([0.5, 0.4, 0.3]) + b.tilt(0.15)
    centre = b.near((138, -34, 26), 5)
    radii = b.about((40, 46, 56), 0.1)
    outer = b.canvas.superquadric(centre, radii, 2.2, angles, 0.06)[0]
    muscle = b.add("myocardium", "muscle", outer, over)
    for name, offset, factor in (
        ("left ventricle", (-6, 4, 16), (0.5, 0.42, 0.5)),
        ("right ventricle", (-8, -20, -14), (0.5, 0.36, 0.5)),
        ("left atrium", (16, 24, -4), (0.42, 0.36, 0.45)),
        ("right atrium", (12, 2, -36), (0.5, 0.5, 0.3)),
    ):
        pieces = b.canvas.superquadric(centre + np.asarray(offset), radii * np.asarray(factor), 2.2, angles, 0.08)[0]
        found[name] = b.add(name, "vessel", pieces, (muscle,))


def _kidneys(b: Builder, free: tuple[int, ...], found: dict[str, int]) -> None:
    size = b.about((50, 27, 26), 0.12)
    medulla = b.rng.random() < 0.6
    for side, name, height in ((-1, "right kidney", -28), (1, "left kidney", -14)):
        if b.rng.random() < 0.04:
            continue
        centre = b.near((height, 34, side * 64), 5)
        angles = (side * 0.4, side * 0.15, 0.15) + b.tilt(0.12)
        whole, middle, core = b.canvas.superquadric(centre, size, 2.2, angles, 0.07, sizes=(1.0, 0.66, 0.36))
        found[name] = b.add(name, "organ", whole, free)
        if medulla:
            b.add(f"{name} medulla", "organ", middle, (found[name],))
        hilum = b.canvas.superquadric(centre - np.array([0, 6, side * 16]), size * (0.4, 0.4, 0.55), 2, angles, 0.15)[0]
        b.add(f"{name} sinus", "fat", hilum, (found[name], len(b.names)))
        b.add(f"{name} pelvis", "fluid", core, (len(b.names),))


def _stomach(b: Builder, over: tuple[int, ...], found: dict[str, int]) -> None:
    points = [b.near(p, 6) for p in ((78, 8, 62), (56, 0, 78), (24, -34, 66), (2, -52, 34), (4, -44, -8))]
    path = smooth_path(points)
    radii = np.interp(np.linspace(0, 1, len(path)), [0, 0.3, 0.7, 1], [22, 34, 24, 13]) * b.rng.uniform(0.7, 1.15)
    wall, content = b.canvas.tube(path, radii, sizes=(1.0, b.rng.uniform(0.72, 0.88)))
    found["stomach"] = b.add("stomach wall", "bowel", wall, over)
    inner = b.add("stomach content", "fluid", content, (found["stomach"],))
    # Gas rises to the front.
    level = points[2][1] - b.rng.uniform(-8, 22)
    gas = [(box, mask & (b.canvas.coordinates[1][box] < level)) for box, mask in content]
    b.add("stomach gas", "air", gas, (inner,))


def _colon(b: Builder, free: tuple[int, ...]) -> None:
    corners = (
        (-130, 0, -88),
        (-60, 8, -98),
        (-22, -8, -92),
        (-30, -64, -40),
        (-38, -70, 20),
        (-4, -34, 84),
        (0, 22, 104),
        (-70, 20, 104),
        (-140, 0, 86),
        (-165, 20, 30),
        (-215, 46, 0),
    )
    path = smooth_path([b.near(p, 8) for p in corners], 6)
    radii = b.rng.uniform(14, 21) * (1 + 0.25 * np.sin(np.arange(len(path)) * b.rng.uniform(1.2, 2.0)))
    wall, content = b.canvas.tube(path, radii, sizes=(1.0, 0.82))
    outer = b.add("colon wall", "bowel", wall, free)
    inner = b.add("colon content", "bowel", content, (outer,))
    gas = b.canvas.superquadric(b.near((-30, -60, 0), 20), (60, 40, 90), lumps=0.7)[0]
    b.add("colon gas", "air", gas, (inner,))


def _small_bowel(b: Builder, free: tuple[int, ...]) -> None:
    wall = b.add("small bowel wall", "bowel", [], free)
    content = b.add("small bowel content", "fluid", [], free)
    for _ in range(int(b.rng.integers(7, 13))):
        start = b.rng.uniform((-165, -65, -70), (-25, 15, 75))
        path = wander(b.rng, start, b.rng.normal(size=3) * (0.5, 1, 1), int(b.rng.integers(4, 9)), 15.0, 0.5)
        outer, inner = b.canvas.tube(path, b.rng.uniform(9, 13), sizes=(1.0, b.rng.uniform(0.6, 0.8)))
        b.canvas.paint(wall, outer, free)
        b.canvas.paint(content, inner, (wall,))


def _extras(b: Builder, free: tuple[int, ...]) -> None:
    """Masses that no atlas knows, so that a learner cannot rely on one."""
    for number in range(int(b.rng.integers(0, 4))):
        centre = b.rng.uniform((-170, -60, -90), (130, 30, 90))
        pieces = b.canvas.superquadric(centre, b.about((26, 18, 22), 0.35), b.rng.uniform(1.6, 3), b.tilt(0.8), 0.15)[0]
        b.add(f"mass {number + 1}", "organ", pieces, free)


def _lesions(b: Builder, found: dict[str, int]) -> None:
    hosts = [name for name in ("liver", "liver", "spleen", "left kidney", "right kidney") if name in found]
    for number in range(int(b.rng.integers(0, 5)) if hosts else 0):
        host = found[hosts[int(b.rng.integers(len(hosts)))]]
        places = np.argwhere(b.canvas.labels == host)
        if not len(places):
            continue
        voxel = tuple(places[int(b.rng.integers(len(places)))])
        centre = [float(b.canvas.coordinates[axis][voxel]) for axis in range(3)]
        size = b.rng.uniform(5, 18)
        pieces = b.canvas.superquadric(centre, b.about((size,) * 3, 0.15), 2, (0, 0, 0), 0.15)[0]
        b.add(f"lesion {number + 1}", "lesion", pieces, (host,))
