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


@dataclass(frozen=True)
class ModelConfig:
    """Everything that fixes the network's shape; stored with the weights."""

    width: int = 64
    diffusion_steps: int = 100
    enhancement: EnhancementConfig = field(default_factory=EnhancementConfig)

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
        config = config or self.config.enhancement
        pooled = extract_prototypes(features, mask)
        noise = antithetic_noise(len(pooled.foreground), config.variants, features.shape[0], generator)
        statistics = prototype_statistics(features, pooled)
        geometry = mask_geometry(mask, pixel_mm * FEATURE_STRIDE)
        enhanced = enhance(
            pooled.foreground, statistics, geometry, noise.to(features), self.denoiser, self.schedule, config
        )
        return SupportPrototypes(pooled, enhanced, statistics, geometry)
