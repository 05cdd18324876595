"""Large vessels along the spine and the branching ones of kidneys and liver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .shapes import smooth_path, wander

if TYPE_CHECKING:
    from .anatomy import Builder


def build_vessels(b: Builder, inside: int, found: dict[str, int]) -> None:
    """Paint arteries and veins into the inner fat, psoas and bowel give way; branches into the liver."""
    rng, canvas = b.rng, b.canvas
    give_way = tuple(label for label, kind in b.kinds.items() if kind in ("bowel", "fluid") or label == inside)
    give_way += tuple(
        label for label, name in b.names.items() if name.endswith(("psoas", "lung")) or name == "pancreas"
    )
    spine = 26.0
    aorta = smooth_path(
        [b.near(p, 2) for p in ((300, spine + 4, 16), (120, spine + 4, 14), (20, spine, 8), (-85, spine - 4, 4))]
    )
    pieces = canvas.tube(aorta, np.linspace(13.5, 9.5, len(aorta)) * rng.uniform(0.85, 1.25))[0]
    for side in (-1, 1):
        iliac = smooth_path([aorta[-1], b.near((-130, spine - 6, side * 26), 3), b.near((-230, -10, side * 62), 5)])
        pieces += canvas.tube(iliac, 6.5)[0]
        renal = smooth_path(
            [(-8, spine, 6), b.near((-14, spine + 2, side * 32), 3), b.near((-18, spine + 8, side * 50), 3)]
        )
        pieces += canvas.tube(renal, 3.6)[0]
    mesenteric = smooth_path([(8, spine, 7), b.near((-4, 4, 8), 3), b.near((-100, -20, -6), 8)])
    pieces += canvas.tube(mesenteric, 4.2)[0]
    b.add("aorta", "vessel", pieces, give_way)

    over_liver = give_way + ((found["liver"],) if "liver" in found else ())
    cava = smooth_path(
        [b.near(p, 2) for p in ((132, 0, -14), (85, 14, -22), (0, spine - 2, -24), (-90, spine - 2, -18))]
    )
    pieces = canvas.tube(cava, rng.uniform(9, 13))[0]
    for side in (-1, 1):
        iliac = smooth_path([cava[-1], b.near((-135, spine, side * 30), 3), b.near((-230, 0, side * 58), 5)])
        pieces += canvas.tube(iliac, 7.0)[0]
        renal = smooth_path(
            [
                (-18, spine - 4, -18),
                b.near((-18, spine - 6, side * 30), 3),
                b.near((-20, spine + 4, side * 50), 3),
            ]
        )
        pieces += canvas.tube(renal, 4.5)[0]
    b.add("vena cava", "vessel", pieces, over_liver)

    portal = smooth_path([b.near(p, 3) for p in ((-60, -6, -14), (0, 0, -12), (28, 0, -34), (38, -4, -58))])
    pieces = canvas.tube(portal, rng.uniform(5.5, 7.5))[0]
    splenic = smooth_path([(6, 2, -10), b.near((20, 8, 30), 4), b.near((36, 30, 84), 4)])
    pieces += canvas.tube(splenic, 4.0)[0]
    portal_label = b.add("portal vein", "vessel", pieces, over_liver)
    if "liver" in found:
        for root in (portal[-1], np.array([84.0, 8.0, -26.0])):
            for _ in range(int(rng.integers(3, 6))):
                path = wander(rng, root, rng.normal((0, 0, -0.8), 0.7), int(rng.integers(3, 7)), 12.0, 0.3)
                canvas.paint(portal_label, canvas.tube(path, np.linspace(4.2, 2.0, len(path)))[0], (found["liver"],))
