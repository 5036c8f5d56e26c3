"""VitSpace: vision transformers, a space that shares nothing with GPUNet's but the protocol."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from gpunet.core.arguments import is_number
from gpunet.core.fields import check_number, part_from_dict, part_to_dict
from gpunet.errors import SpecError
from gpunet.latency.layers.convolutional import ConvLayerKey
from gpunet.latency.layers.keys import IMAGE_CHANNELS, LayerKey
from gpunet.latency.layers.transformer import TransformerLayerKey
from gpunet.latency.terms import Derived, LookupPlan, Term
from gpunet.search.spaces.space import Digit, DigitSpace, check_architecture, checked_choices, space_body

if TYPE_CHECKING:
    from timm.models import VisionTransformer

SPACE_VERSION = 1
_MOST = 65536
_ARCHITECTURE = "vit_tiny_patch16_224"  # of timm's, which takes every size as an argument
_INTEGERS = ("resolution_px", "patch_px", "width", "depth", "heads")


@dataclass(frozen=True)
class VitSpec:
    """A vision transformer of equal blocks, with a class token and learned position embeddings.

    Args:
        resolution_px: side of the square input.
        patch_px: side of a patch; divides the resolution.
        width: of a token; the heads divide it.
        depth: blocks.
        heads: of each block's attention.
        mlp_ratio: hidden width of a block's two linear layers over `width`; truncated to an integer, as timm does.

    Raises:
        SpecError: a value breaks its rule; the message begins with its name.
    """

    resolution_px: int
    patch_px: int
    width: int
    depth: int
    heads: int
    mlp_ratio: float = 4.0

    def __post_init__(self) -> None:
        for name in _INTEGERS:
            check_number(name, getattr(self, name), 1, _MOST, whole=True)
        ratio = self.mlp_ratio
        if not is_number(ratio) or not 1 <= self.width * ratio < math.inf:
            raise SpecError(f"mlp_ratio: {ratio!r} of a width of {self.width} is no hidden width")
        if self.resolution_px % self.patch_px:
            raise SpecError(f"patch_px: {self.patch_px} does not divide the resolution of {self.resolution_px} px")
        if self.width % self.heads:
            raise SpecError(f"heads: {self.heads} do not divide the width of {self.width}")

    @property
    def tokens(self) -> int:
        """Patches, and the class token."""
        return (self.resolution_px // self.patch_px) ** 2 + 1

    @property
    def hidden_width(self) -> int:
        """Of a block's two linear layers."""
        return int(self.width * self.mlp_ratio)

    def keys(self, num_classes: int) -> list[LayerKey]:
        """Layer keys in network order, the run itself ('input') first."""
        return [_run(self.resolution_px), _embed(self), *[_block(self)] * self.depth, _head(self, num_classes)]


def _run(resolution_px: int) -> LayerKey:
    return ConvLayerKey("input", IMAGE_CHANNELS, resolution_px, IMAGE_CHANNELS)


def _embed(spec: VitSpec) -> LayerKey:
    args = {"in_px": spec.resolution_px, "patch_px": spec.patch_px}
    return TransformerLayerKey("patch_embed", spec.width, spec.tokens, **args)


def _block(spec: VitSpec) -> LayerKey:
    args = {"heads": spec.heads, "hidden_width": spec.hidden_width}
    return TransformerLayerKey("transformer_block", spec.width, spec.tokens, **args)


def _head(spec: VitSpec, num_classes: int) -> LayerKey:
    return TransformerLayerKey("vit_head", spec.width, spec.tokens, out_features=num_classes)


# Field of the space -> field of VitSpec, in vector order.
_DIGITS = {
    "resolutions_px": "resolution_px",
    "patches_px": "patch_px",
    "widths": "width",
    "depths": "depth",
    "heads": "heads",
    "mlp_ratios": "mlp_ratio",
}


@dataclass(frozen=True)
class VitSpace(DigitSpace):
    """Vision transformers; architectures are VitSpecs.

    Every patch must divide every resolution and every number of heads every width, so that every vector is a network:
    see docs/decisions/0011.

    Args:
        resolutions_px, patches_px, widths, depths, heads, mlp_ratios: choices of VitSpec's fields, rising.

    Raises:
        SpecError: naming the choice that breaks a rule.
    """

    resolutions_px: tuple[int, ...]
    patches_px: tuple[int, ...]
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    mlp_ratios: tuple[float, ...] = (4.0,)

    def __post_init__(self) -> None:
        for name in _DIGITS:
            object.__setattr__(self, name, checked_choices(name, getattr(self, name)))
        for name, each in _DIGITS.items():
            for value in getattr(self, name) if each in _INTEGERS else ():
                check_number(name, value, 1, _MOST, whole=True)
        for parts, wholes in (("patches_px", "resolutions_px"), ("heads", "widths")):
            for part, whole in itertools.product(getattr(self, parts), getattr(self, wholes)):
                if whole % part:
                    common = math.lcm(*getattr(self, parts))
                    raise SpecError(
                        f"{wholes}: {whole} is not a multiple of {part}, one of {parts}", f"Give multiples of {common}."
                    )
        for ratio in self.mlp_ratios:
            VitSpec(self.resolutions_px[0], self.patches_px[0], self.widths[0], self.depths[0], self.heads[0], ratio)

    @cached_property
    def digits(self) -> tuple[Digit, ...]:
        """Resolution, patch, width, depth, heads, MLP ratio."""
        return tuple(Digit(field, getattr(self, name)) for name, field in _DIGITS.items())

    def decode(self, vector: ArrayLike) -> VitSpec:
        """See `SearchSpace.decode`."""
        return VitSpec(**self.values_of(vector))

    def encode(self, architecture: VitSpec) -> np.ndarray:
        """See `SearchSpace.encode`."""
        check_architecture(architecture, VitSpec)
        return self.vector_of(dataclasses.asdict(architecture))

    def canonical(self, vectors: ArrayLike) -> np.ndarray:
        """See `SearchSpace.canonical`: every vector is a network of its own."""
        return self.check(vectors)

    def keys(self, vector: ArrayLike, *, num_classes: int = 1000) -> list[LayerKey]:
        """See `SearchSpace.keys`."""
        return self.decode(vector).keys(num_classes)

    def lookup_plan(self, *, num_classes: int = 1000) -> LookupPlan:
        """See `SearchSpace.lookup_plan`. The number of tokens is derived: many resolutions and patches share one."""
        tokens = sorted({(px // patch) ** 2 + 1 for px in self.resolutions_px for patch in self.patches_px})

        def spec(resolution: int, patch: int, width: int) -> VitSpec:
            return VitSpec(self.resolutions_px[resolution], self.patches_px[patch], self.widths[width], 1, 1)

        def tokens_of(resolution: int, patch: int) -> int:
            return tokens.index(spec(resolution, patch, 0).tokens)

        def block(token: int, width: int, heads: int, ratio: int) -> LayerKey:
            hidden = int(self.widths[width] * self.mlp_ratios[ratio])
            return TransformerLayerKey(
                "transformer_block", self.widths[width], tokens[token], heads=self.heads[heads], hidden_width=hidden
            )

        def head(token: int, width: int) -> LayerKey:
            return TransformerLayerKey("vit_head", self.widths[width], tokens[token], out_features=num_classes)

        return LookupPlan(
            self.digit_sizes,
            (Derived("tokens", ("resolution_px", "patch_px"), len(tokens), tokens_of),),
            (
                Term(("resolution_px",), lambda resolution: [(_run(self.resolutions_px[resolution]), 1)]),
                Term(("resolution_px", "patch_px", "width"), lambda *at: [(_embed(spec(*at)), 1)]),
                Term(
                    ("tokens", "width", "heads", "mlp_ratio", "depth"),
                    lambda *at: [(block(*at[:4]), self.depths[at[4]])],
                ),
                Term(("tokens", "width"), lambda *at: [(head(*at), 1)]),
            ),
        )

    def build(self, vector: ArrayLike, *, num_classes: int = 1000, **options: Any) -> VisionTransformer:
        """See `SearchSpace.build`: timm's VisionTransformer, which says how it takes images; options are its own."""
        import timm

        spec = self.decode(vector)
        arguments: dict[str, Any] = {
            "img_size": spec.resolution_px, "patch_size": spec.patch_px, "embed_dim": spec.width, "depth": spec.depth,
            "num_heads": spec.heads, "mlp_ratio": spec.mlp_ratio,
        }  # fmt: skip
        shape = (options.get("in_chans", IMAGE_CHANNELS), spec.resolution_px, spec.resolution_px)
        model: Any = timm.create_model(
            _ARCHITECTURE, num_classes=num_classes, pretrained_cfg_overlay={"input_size": shape, "crop_pct": 1.0},
            **arguments, **options,
        )  # fmt: skip
        model.model_args = arguments  # what makes the architecture this network: an entry keeps it
        return model

    def to_dict(self) -> dict[str, Any]:
        """See `SearchSpace.to_dict`."""
        return {"space": "vit", "space_version": SPACE_VERSION, **part_to_dict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VitSpace:
        """The space that `to_dict` wrote.

        Raises:
            SpecError: unknown or missing keys, or choices that break a rule.
        """
        return part_from_dict(cls, space_body(data, "vit", SPACE_VERSION), "")
