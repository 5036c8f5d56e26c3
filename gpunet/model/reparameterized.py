"""Networks that are trained with branches and served without: RepVGG, MobileOne, FastViT, RepViT, ...

Their branches of one block add up to one convolution. timm fuses them (`timm.utils.reparameterize_model`); what is
exported and what is measured is the fused network, and what it is compared with the one that was trained.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

from torch import nn

_BY = ("fuse", "reparameterize", "switch_to_deploy")  # the methods that timm calls


def reparameterized(model: nn.Module) -> tuple[nn.Module, bool]:
    """The network fused for inference, and whether anything was; a copy in evaluation mode, or else itself."""
    if not any(hasattr(part, name) for part in _below(model) for name in _BY):
        return model, False
    from timm.utils import reparameterize_model

    names = set(model.state_dict())
    fused: nn.Module = reparameterize_model(copy.deepcopy(model).eval(), inplace=True)
    return (fused, True) if set(fused.state_dict()) != names else (model, False)


def _below(model: nn.Module) -> Iterator[nn.Module]:
    modules = model.modules()
    next(modules)
    return modules
