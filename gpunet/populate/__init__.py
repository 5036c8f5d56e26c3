"""A device's zoo from a plan: a folder of state, and a file a stage.

Every public name loads its module on first use (PEP 562).
"""

from __future__ import annotations

from gpunet.core.lazy import lazily

_LAZY = {
    "Context": "gpunet.populate.context",
    "DevicePlan": "gpunet.populate.plan",
    "FineTunePlan": "gpunet.populate.plan",
    "PRESETS": "gpunet.populate.presets",
    "Plan": "gpunet.populate.plan",
    "PopulateResult": "gpunet.populate.run",
    "PublishPlan": "gpunet.populate.plan",
    "SearchPlan": "gpunet.populate.plan",
    "StateFolder": "gpunet.populate.place",
    "TablePlan": "gpunet.populate.plan",
    "TiersPlan": "gpunet.populate.plan",
    "plan_from_dict": "gpunet.populate.plan_file",
    "read_plan": "gpunet.populate.plan_file",
    "populate": "gpunet.populate.run",
}

__all__ = list(_LAZY)
__getattr__, __dir__ = lazily(__name__, _LAZY)
