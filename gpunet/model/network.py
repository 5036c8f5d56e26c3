"""GPUNet: a NetworkSpec as a torch module with timm's model interface.

Parameter names: `conv_stem`, `bn1`, `blocks.<stage>.<layer>.*`, `conv_head`, `bn2`, [`conv_hidden`,] `classifier`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from timm.data import create_transform
from timm.layers import DropPath, SelectAdaptivePool2d
from timm.models import checkpoint_seq
from torch import Tensor, nn
from torch.nn import functional

from gpunet.core.arguments import checked_integer
from gpunet.errors import InvalidArgumentError
from gpunet.model.blocks import BLOCKS, conv, norm_act
from gpunet.model.parts import DROP_PATHS_OVER, INITIALIZATIONS
from gpunet.model.preprocessing import image_config
from gpunet.model.spec import NetworkSpec

if TYPE_CHECKING:
    from gpunet.model.entry import Entry, Match


class GPUNet(nn.Module):
    """The network that `spec` describes; input `N x in_chans x H x W`, output `N x num_classes` logits.

    Args:
        spec: a NetworkSpec, its dict, its JSON text, or the path of a JSON file.
        num_classes: 0 for no classifier: `forward` then returns `N x head_hidden_size` features.
        in_chans: channels of the input image.
        drop_rate: dropout before the classifier, in [0, 1).
        drop_path_rate: stochastic depth of the last layer, in [0, 1); grows linearly with depth from 0.
        global_pool: 'avg', 'max', 'avgmax', 'catavgmax', or '' for none (needs num_classes=0).

    Attributes:
        spec: the NetworkSpec.
        entry: the zoo's Entry the model was created from; None for a network of one's own.
        match: the Match by which `gpunet.create` chose it; None otherwise.

    Raises:
        SpecError: the spec is not valid.
        InvalidArgumentError: (a ValueError) another argument is not.

    Initialisation is that of timm's EfficientNets: normal convolutions of variance 2 / fan-out, a uniform classifier.
    """

    if TYPE_CHECKING:  # TorchScript reads the annotations of a class, and knows few types
        entry: Entry | None
        match: Match | None
        drop_rate: float
        conv_head: nn.Module
        bn2: nn.Module
        conv_hidden: nn.Conv2d | None
        num_features: int
        head_hidden_size: int
    else:
        entry = match = None

    def __init__(
        self,
        spec: NetworkSpec | Mapping[str, Any] | str | Path,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        global_pool: str = "avg",
    ) -> None:
        super().__init__()
        self.spec = spec = NetworkSpec.parse(spec)
        if not isinstance(in_chans, int) or in_chans < 1:
            raise InvalidArgumentError(f"in_chans must be an integer of 1 or more, but got {in_chans!r}.")
        self.in_chans = in_chans
        self.grad_checkpointing = False

        shapes = {s.name: s for s in spec.layer_shapes(in_channels=in_chans, num_classes=0)}
        eps = spec.batch_norm_eps
        stem = shapes["stem"]
        self.conv_stem = conv(in_chans, stem.out_channels, stem.kernel_size, stride=2, padding=stem.padding)
        self.bn1 = norm_act(stem.out_channels, eps, stem.activation)

        self.blocks = nn.Sequential()
        self.feature_info: list[dict[str, Any]] = [
            {"num_chs": stem.out_channels, "reduction": 2, "module": "bn1", "stage": 0}
        ]
        channels, reduction = stem.out_channels, 2
        for number, stage in enumerate(spec.stages):
            layers = []
            for index in range(stage.layers):
                shape = shapes[f"stages[{number}][{index}]"]
                layers.append(BLOCKS[stage.type](shape, eps))
                channels = shape.out_channels
            self.blocks.append(nn.Sequential(*layers))
            if stage.stride == 1:  # this stage, not an earlier one, ends the reduction level
                self.feature_info.pop()
            reduction *= stage.stride
            info = {"num_chs": channels, "reduction": reduction, "module": f"blocks.{number}", "stage": number + 1}
            self.feature_info.append(info)

        self.num_features = spec.head.filters
        self.conv_head = conv(channels, self.num_features)
        self.bn2 = norm_act(self.num_features, eps, "relu")
        self._build_classifier(num_classes, global_pool)
        self.set_drop_rates(drop_rate, drop_path_rate)
        for module in self.modules():
            _initialize(module)

    # ------------------------------------------------------------ classifier

    def _build_classifier(self, num_classes: int, pool_type: str) -> None:
        checked_integer("num_classes", num_classes, 0)
        if pool_type not in ("avg", "max", "avgmax", "catavgmax", ""):
            raise InvalidArgumentError(
                f"global_pool must be 'avg', 'max', 'avgmax', 'catavgmax' or '', but got {pool_type!r}."
            )
        if not pool_type and num_classes:
            raise InvalidArgumentError(
                f"global_pool='' leaves no vector to classify, but num_classes is {num_classes}.", "Pass num_classes=0."
            )
        self.num_classes = num_classes
        self.global_pool = SelectAdaptivePool2d(pool_type=pool_type, flatten=False)
        pooled = self.num_features * self.global_pool.feat_mult()
        hidden = self.spec.head.hidden_features
        existing = getattr(self, "conv_hidden", None)
        if hidden is None:
            self.conv_hidden = None
        elif existing is None or existing.in_channels != pooled:
            self.conv_hidden = conv(pooled, hidden)
        self.head_hidden_size = pooled if hidden is None else hidden
        self.classifier = nn.Linear(self.head_hidden_size, num_classes) if num_classes else nn.Identity()

    def get_classifier(self) -> nn.Module:
        """The last linear layer; an Identity where num_classes is 0."""
        return self.classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Give the network a new, freshly initialised classifier, on its present device and in its present type.

        Args:
            num_classes: classes of the new one; 0 for none.
            global_pool: see the class; None keeps the present pooling.
        """
        like = self.conv_stem.weight
        kept = self.conv_hidden
        self._build_classifier(num_classes, self.global_pool.pool_type if global_pool is None else global_pool)
        if self.conv_hidden is not None and self.conv_hidden is not kept:
            _initialize(self.conv_hidden)
        _initialize(self.classifier)
        parts: tuple[nn.Module | None, ...] = (self.global_pool, self.conv_hidden, self.classifier)
        for part in parts:
            if part is not None:
                part.to(device=like.device, dtype=like.dtype).train(self.training)

    # --------------------------------------------------------------- forward

    def forward_features(self, x: Tensor) -> Tensor:
        """`N x in_chans x H x W` -> `N x num_features x h x w`, before pooling."""
        x = self.bn1(self.conv_stem(x))
        if self.grad_checkpointing and not torch.jit.is_scripting():
            x = checkpoint_seq(self.blocks, x, flatten=True)
        else:
            x = self.blocks(x)
        return self.bn2(self.conv_head(x))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Features of `forward_features` -> `N x num_classes`; with `pre_logits`, `N x head_hidden_size`."""
        x = self.global_pool(x)
        if self.conv_hidden is not None:
            x = functional.relu(self.conv_hidden(x))
        if self.global_pool.pool_type:
            x = x.flatten(1)
        if self.drop_rate > 0:
            x = functional.dropout(x, p=self.drop_rate, training=self.training)
        return x if pre_logits else self.classifier(x)

    def forward(self, x: Tensor) -> Tensor:
        """`N x in_chans x H x W` -> `N x num_classes` logits."""
        return self.forward_head(self.forward_features(x))

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | tuple[int, ...] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Feature maps at the end of each reduction level (`feature_info`), and the final features.

        Args:
            x: `N x in_chans x H x W`.
            indices: which levels: the last n for an int, all for None.
            norm: accepted for timm's interface; there is no final norm to apply.
            stop_early: do not run what lies behind the last level asked for.
            output_fmt: 'NCHW' only.
            intermediates_only: return the list alone.
        """
        if output_fmt != "NCHW":
            raise InvalidArgumentError(f"output_fmt must be 'NCHW', but got {output_fmt!r}.")
        taken, last = _take_levels(len(self.feature_info), indices)
        stages = [self.feature_info[index]["stage"] for index in taken]
        intermediates: list[Tensor] = []
        x = self.bn1(self.conv_stem(x))
        if 0 in stages:
            intermediates.append(x)
        end = self.feature_info[last]["stage"] if stop_early else len(self.blocks)
        for number, block in enumerate(self.blocks[:end], start=1):
            x = checkpoint_seq([*block.children()], x) if self.grad_checkpointing else block(x)
            if number in stages:
                intermediates.append(x)
        if intermediates_only:
            return intermediates
        if end == len(self.blocks):
            x = self.bn2(self.conv_head(x))
        return x, intermediates

    def prune_intermediate_layers(
        self, indices: int | list[int] | tuple[int, ...] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Drop the layers that the feature levels `indices` do not need; returns the levels as a list."""
        taken, last = _take_levels(len(self.feature_info), indices)
        end = self.feature_info[last]["stage"]
        if prune_norm or prune_head or end < len(self.blocks):
            self.reset_classifier(0, "")
            self.conv_head, self.bn2, self.conv_hidden = nn.Identity(), nn.Identity(), None
            self.num_features = self.head_hidden_size = self.feature_info[last]["num_chs"]
        self.blocks = self.blocks[:end]
        return taken

    # ------------------------------------------------------------- training

    @torch.jit.ignore
    def set_drop_rates(self, drop_rate: float, drop_path_rate: float, over: str = "layers") -> None:
        """What is dropped in training.

        Args:
            drop_rate: dropout before the classifier, in [0, 1).
            drop_path_rate: stochastic depth, in [0, 1); grows linearly with depth from 0.
            over: what it grows over: 'layers', from the first to the last; or 'items' of the descriptions that the
                released networks were built from: the image, the stem, the layers, the head.

        Raises:
            InvalidArgumentError: (a ValueError) a rate is out of range, or `over` is neither.
        """
        if over not in DROP_PATHS_OVER:
            raise InvalidArgumentError(f"over must be one of {', '.join(DROP_PATHS_OVER)}, but got {over!r}.")
        for name, rate in (("drop_rate", drop_rate), ("drop_path_rate", drop_path_rate)):
            if not 0 <= rate < 1:
                raise InvalidArgumentError(f"0 <= {name} < 1 must hold, but got {rate!r}.")
        self.drop_rate = drop_rate
        layers: list[Any] = [layer for stage in self.blocks.children() for layer in stage.children()]
        before, last = (0, max(1, len(layers) - 1)) if over == "layers" else (2, len(layers) + 2)
        for number, layer in enumerate(layers, start=before):
            rate = drop_path_rate * number / last
            if hasattr(layer, "drop_path"):
                layer.drop_path = DropPath(rate) if rate else nn.Identity()

    @torch.jit.ignore
    def initialize(self, how: str = "timm") -> None:
        """Draw all weights anew, and forget BatchNorm's statistics.

        Args:
            how: 'timm', as its EfficientNets (see the class); or 'torch', the defaults of its modules.

        Raises:
            InvalidArgumentError: (a ValueError) `how` is neither.
        """
        if how not in INITIALIZATIONS:
            raise InvalidArgumentError(f"how must be one of {', '.join(INITIALIZATIONS)}, but got {how!r}.")
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
                module.reset_parameters()
            if how == "timm":
                _initialize(module)

    @torch.jit.ignore
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade compute for memory in training: recompute the blocks' activations in the backward pass."""
        self.grad_checkpointing = enable

    @torch.jit.ignore
    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Patterns that group parameters by depth, for timm's layer-wise learning rates."""
        block = r"^blocks\.(\d+)" if coarse else r"^blocks\.(\d+)\.(\d+)"
        return {
            "stem": r"^(?:conv_stem|bn1)\.",
            "blocks": [(block, None), (r"^(?:conv_head|bn2|conv_hidden)\.", (99999,))],
        }

    def transforms(self, training: bool = False) -> Callable[..., Any]:
        """The image transform of this network: a PIL image -> `in_chans x H x W` float tensor.

        Args:
            training: timm's augmenting transform at the same resolution, instead of resize and centre crop.
        """
        return create_transform(**image_config(self), is_training=training)


def _take_levels(count: int, indices: int | list[int] | tuple[int, ...] | None) -> tuple[list[int], int]:
    """The levels asked for, as indices from 0, and the last of them: all for None, the last n for an int."""
    if indices is None:
        taken = list(range(count))
    elif isinstance(indices, int):
        taken = list(range(count - indices, count)) if 0 < indices <= count else [indices]
    else:
        taken = [index + count if index < 0 else index for index in indices]
    if not taken or not all(0 <= index < count for index in taken):
        raise InvalidArgumentError(
            f"indices must name some of the {count} feature levels, but got {indices!r}.",
            f"Levels are 0 to {count - 1}; an integer n from 1 to {count} takes the last n.",
        )
    return taken, max(taken)


def _initialize(module: nn.Module) -> None:
    """As timm's EfficientNets: see the class. BatchNorm starts at weight 1 and bias 0 by itself."""
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        bound = 1.0 / math.sqrt(module.out_features)
        nn.init.uniform_(module.weight, -bound, bound)
        nn.init.zeros_(module.bias)
