"""The optimisers by the names that studies, plans and commands give them. A new one is a file, and a line here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from gpunet.core.arguments import checked_choice

if TYPE_CHECKING:
    from gpunet.search.optimize.base import Optimizer

# Name -> module and class; the first is the default.
_OPTIMIZERS = {
    "lamcts": ("gpunet.search.optimize.lamcts", "LaMcts"),
    "gp": ("gpunet.search.optimize.baselines", "GaussianProcessBo"),
    "evolution": ("gpunet.search.optimize.baselines", "RegularizedEvolution"),
    "sobol": ("gpunet.search.optimize.baselines", "SobolSearch"),
    "random": ("gpunet.search.optimize.baselines", "RandomSearch"),
}


def optimizer_names() -> tuple[str, ...]:
    """All names, the default's first."""
    return tuple(_OPTIMIZERS)


def register_optimizer(name: str, optimizer_class: type[Optimizer]) -> None:
    """Let studies name an optimiser that is not gpunet's own; every process that works on one must have called this."""
    _OPTIMIZERS[name] = (optimizer_class.__module__, optimizer_class.__qualname__)


def unregister_optimizer(name: str) -> None:
    """Forget an optimiser that was registered."""
    del _OPTIMIZERS[name]


def optimizer_named(name: str) -> type[Optimizer]:
    """The class of that name: `optimizer_named('lamcts')(domain, seed=0)`.

    Raises:
        InvalidArgumentError: (a ValueError) there is none.
    """
    checked_choice("optimizer", name, _OPTIMIZERS)
    module, class_name = _OPTIMIZERS[name]
    found: type[Optimizer] = getattr(importlib.import_module(module), class_name)
    return found
