"""The whole network: every learned part, and the three things one does with it (encode, compare, step)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn

from .conditioning import mask_geometry, prototype_statistics
from .cross_decoder import CrossDecoder
from .cross_matching import CrossMatcher
from .decoder import EvidenceDecoder
from .denoiser import Denoiser
from .encoder import FEATURE_STRIDE, Encoder
from .enhancement import EnhancedPrototypes, EnhancementConfig, antithetic_noise, enhance
from .matching import DenseMatcher
from .prototypes import PrototypeSet, extract_prototypes
from .schedule import CosineSchedule
from .similarity import PrototypeSimilarity
from .sphere import unit


@dataclass(frozen=True)
class ModelConfig:
    """Everything that fixes the network's shape, and how it walks; stored with the weights."""

    width: int = 64
    diffusion_steps: int = 100
    enhancement: EnhancementConfig = field(default_factory=EnhancementConfig)
    follows: bool = False  # walks look for their object where it moves (motion.py), rather than where it was

    def __post_init__(self) -> None:
        if self.enhancement.start > self.diffusion_steps:
            raise ValueError("enhancement cannot start later than the diffusion's last step")

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> ModelConfig:
        values = dict(values)
        return cls(**{**values, "enhancement": EnhancementConfig(**values.get("enhancement", {}))})


@dataclass
class SupportPrototypes:
    """The prototypes of one label on one support slice, as pooled and as enhanced, and what steered the enhancement:
    ``statistics`` (P, STATISTICS) and ``geometry`` (GEOMETRY,)."""

    pooled: PrototypeSet
    enhanced: EnhancedPrototypes
    statistics: Tensor
    geometry: Tensor


class DPLModel(nn.Module):
    """Encoder, denoiser, prototype similarity, dense matcher and decoder."""

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__()
        self.config = config or ModelConfig()
        width = self.config.width
        self.encoder = Encoder(width)
        self.schedule = CosineSchedule(self.config.diffusion_steps)
        self.denoiser = Denoiser(width)
        self.similarity = PrototypeSimilarity()
        self.matcher = DenseMatcher(width)
        self.decoder = EvidenceDecoder(width)
        self.cross = CrossMatcher()
        self.cross_decoder = CrossDecoder(width)

    def support_prototypes(
        self,
        features: Tensor,
        mask: Tensor,
        pixel_mm: float,
        generator: torch.Generator,
        config: EnhancementConfig | None = None,
    ) -> SupportPrototypes:
        """Pool and enhance the prototypes of one annotated slice; the same call in training and inference.

        Args:
            features: (C, H/4, W/4) of the slice.
            mask: (H/4, W/4) in [0, 1].
            pixel_mm: edge of a network pixel in mm.
            generator: CPU generator of the noise, seeded by (user seed, label, support).
            config: other settings than the model's own (ablations).
        """
        pooled = extract_prototypes(features, mask)
        statistics = prototype_statistics(features, pooled)
        geometry = mask_geometry(mask, pixel_mm * FEATURE_STRIDE)
        enhanced = self._enhanced(pooled.foreground, statistics, geometry, generator, config)
        return SupportPrototypes(pooled, enhanced, statistics, geometry)

    def organ_variants(
        self,
        organ: Tensor,
        support: SupportPrototypes,
        seen: Tensor | None,
        generator: torch.Generator,
        config: EnhancementConfig | None = None,
    ) -> EnhancedPrototypes:
        """How an organ may look in another patient: its prototype, enhanced.

        Args:
            organ: (1, C), pooled over all of the support's slices (``evidence.py``).
            support: the prototypes of the annotated slices, whose statistics and geometry steer the enhancement.
            seen: (1, C), the same of the query after a first look; None if that found nothing.
            generator, config: see :meth:`support_prototypes`.
        """
        statistics = support.statistics[:1]
        return self._enhanced(
            organ, statistics, support.geometry, generator, config, None if seen is None else unit(seen)
        )

    def _enhanced(
        self,
        foreground: Tensor,
        statistics: Tensor,
        geometry: Tensor,
        generator: torch.Generator,
        config: EnhancementConfig | None,
        seen: Tensor | None = None,
    ) -> EnhancedPrototypes:
        config = config or self.config.enhancement
        noise = antithetic_noise(len(foreground), config.variants, foreground.shape[-1], generator).to(foreground)
        return enhance(foreground, statistics, geometry, noise, self.denoiser, self.schedule, config, seen)
