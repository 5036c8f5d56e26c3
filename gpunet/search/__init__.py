"""The search of the paper's section 3: where to look, and what to train next.

Every public name loads its module, and with it torch or BoTorch, on first use (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import Any

_LAZY = {
    "Box": "gpunet.search.optimize.domain",
    "Domain": "gpunet.search.optimize.domain",
    "GaussianProcessBo": "gpunet.search.optimize.baselines",
    "LaMcts": "gpunet.search.optimize.lamcts",
    "LaMctsSampler": "gpunet.search.optimize.optuna_sampler",
    "Lattice": "gpunet.search.optimize.domain",
    "Pool": "gpunet.search.optimize.domain",
    "RandomSearch": "gpunet.search.optimize.baselines",
    "RegularizedEvolution": "gpunet.search.optimize.baselines",
    "SobolSearch": "gpunet.search.optimize.baselines",
    "plot_partition": "gpunet.search.optimize.pictures",
    "plot_regret": "gpunet.search.optimize.pictures",
}

__all__ = list(_LAZY)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'gpunet.search' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
