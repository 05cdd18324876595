"""The support: an annotated scan, its prototypes, and their noise."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch.nn import functional as F

from .annotation import Annotation
from .encoder import FEATURE_STRIDE
from .enhancement import EnhancedPrototypes
from .errors import stop_if
from .geometry import Volume
from .model import DPLModel, SupportPrototypes
from .progress_parts import ProgressPart
from .prototypes import PrototypeSet
from .scan import PreparedScan, canonical_digest
from .similarity import SimilarityMaps
from .step import EncodedScan


@dataclass
class Support:
    """What ``set_support`` keeps.

    ``masks``: label -> {slice index in the frame: (H, W) mask on the network grid}; ``overlaps``: label -> the others
    that share voxels with it; ``digest`` identifies what the
    network sees of the scan, the same for every orientation of it.
    """

    volume: Volume
    annotation: Annotation
    scan: PreparedScan
    masks: dict[int, dict[int, torch.Tensor]]
    overlaps: dict[int, frozenset[int]]
    digest: str

    @classmethod
    def prepare(cls, volume: Volume, annotation: Annotation, scan: PreparedScan) -> Support:
        """Bring the annotation to the network grid."""
        masks = {
            label: {
                scan.frame.slice_index(place): scan.network_mask(annotation.masks[label], scan.frame.slice_index(place))
                for place in places
            }
            for label, places in annotation.slices.items()
        }
        return cls(volume, annotation, scan, masks, annotation.overlaps(), canonical_digest(scan))


def noise_generator(seed: int, label: int, support_digest: str) -> torch.Generator:
    """The explicit source of the diffusion noise, seeded by (user seed, label, support)."""
    digest = hashlib.sha256(f"{seed} {label} {support_digest}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@torch.inference_mode()
def enhanced_prototypes(model: DPLModel, support: Support, label: int, seed: int) -> SupportPrototypes:
    """Prototypes of one label, pooled and enhanced on every annotated slice and taken together."""
    scan = support.scan.encoded
    generator = noise_generator(seed, label, support.digest)
    parts = []
    for index, mask in sorted(support.masks[label].items()):
        small = F.avg_pool2d(mask[None, None], FEATURE_STRIDE)[0, 0]
        parts.append(model.support_prototypes(scan.features[index].float(), small, scan.pixel_mm, generator))
    return joined_prototypes(parts)


def joined_prototypes(parts: Sequence[SupportPrototypes]) -> SupportPrototypes:
    """The prototypes of several slices as one set."""
    if len(parts) == 1:
        return parts[0]
    pooled, enhanced = [part.pooled for part in parts], [part.enhanced for part in parts]
    names = ("original", "fused", "variants", "free_cosine")
    return SupportPrototypes(
        PrototypeSet(*(torch.cat([getattr(part, field.name) for part in pooled]) for field in fields(PrototypeSet))),
        EnhancedPrototypes(*(torch.cat([getattr(part, name) for part in enhanced]) for name in names)),
        torch.cat([part.statistics for part in parts]),
        parts[0].geometry,
    )


@torch.inference_mode()
def similarity_maps(
    model: DPLModel,
    prototypes: Mapping[int, SupportPrototypes],
    scan: EncodedScan,
    progress: ProgressPart,
    should_cancel: Callable[[], bool] | None,
    chunk: int = 8,
) -> dict[int, SimilarityMaps]:
    """Prototype similarity of every label over all slices of a scan.

    Raises:
        Cancelled: ``should_cancel()`` returned true; it is asked for every few slices.
    """
    found = {}
    count = len(scan.features)
    for number, (label, part) in enumerate(prototypes.items()):
        chunks = []
        for start in range(0, count, chunk):
            stop_if(should_cancel)
            features = scan.features[start : start + chunk].float()
            chunks.append(model.similarity(features, part.enhanced, part.pooled.background))
            progress((number + (start + len(features)) / count) / len(prototypes), "comparing with the prototypes")
        found[label] = SimilarityMaps.joined(chunks)
    return found
