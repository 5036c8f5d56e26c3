"""The search of the paper's section 3: where to look, and what to train next.

Every public name loads its module, and with it torch or BoTorch, on first use (PEP 562).
"""

from __future__ import annotations

from gpunet.core.lazy import lazily

_LAZY = {
    "Box": "gpunet.search.optimize.domain",
    "Domain": "gpunet.search.optimize.domain",
    "GaussianProcessBo": "gpunet.search.optimize.baselines",
    "LaMcts": "gpunet.search.optimize.lamcts",
    "LaMctsSampler": "gpunet.search.optimize.optuna_sampler",
    "Lattice": "gpunet.search.optimize.domain",
    "Optimizer": "gpunet.search.optimize.base",
    "Pool": "gpunet.search.optimize.domain",
    "RandomSearch": "gpunet.search.optimize.baselines",
    "RegularizedEvolution": "gpunet.search.optimize.baselines",
    "SobolSearch": "gpunet.search.optimize.baselines",
    "optimizer_named": "gpunet.search.optimize.named",
    "plot_partition": "gpunet.search.optimize.pictures",
    "plot_regret": "gpunet.search.optimize.pictures",
    "register_optimizer": "gpunet.search.optimize.named",
    "ConvSpace": "gpunet.search.spaces.conv_space",
    "Digit": "gpunet.search.spaces.space",
    "DigitSpace": "gpunet.search.spaces.space",
    "PAPER_SPACE": "gpunet.search.spaces.paper",
    "RELEASE_SPACE": "gpunet.search.spaces.paper",
    "SearchSpace": "gpunet.search.spaces.space",
    "StageChoices": "gpunet.search.spaces.stage_choices",
    "VitSpace": "gpunet.search.spaces.vit_space",
    "VitSpec": "gpunet.search.spaces.vit_space",
    "register_space": "gpunet.search.spaces.space",
    "space_from_dict": "gpunet.search.spaces.space",
    "unregister_space": "gpunet.search.spaces.space",
    "Strata": "gpunet.search.tiers.stratify",
    "Tier": "gpunet.search.tiers.tier",
    "draw_coverage": "gpunet.search.tiers.coverage_plot",
    "stratify": "gpunet.search.tiers.stratify",
    "Estimator": "gpunet.latency.estimate",
    "StudyStorage": "gpunet.search.storage.storage",
    "register_backend": "gpunet.search.storage.backends",
    "Pruning": "gpunet.search.study.definition",
    "RecipeTrainer": "gpunet.search.study.training",
    "SearchData": "gpunet.search.study.search_data",
    "Study": "gpunet.search.study.study",
    "StudyDefinition": "gpunet.search.study.definition",
    "Trained": "gpunet.search.study.trainer",
    "Trainer": "gpunet.search.study.trainer",
    "TrialRecord": "gpunet.search.study.trials",
    "defined": "gpunet.search.study.definition",
    "open_study": "gpunet.search.study.opening",
    "trainer_from_dict": "gpunet.search.study.training",
    "Worker": "gpunet.search.work.worker",
    "create_study": "gpunet.search.work.creation",
}
# Where reports were before they had a room of their own.
_MOVED = dict.fromkeys(
    ("NetworkReport", "Report", "Sample", "TierReport", "TrialPoint", "read_report", "save_report", "write_report"),
    "gpunet.report",
)

__all__ = list(_LAZY)
__getattr__, __dir__ = lazily(__name__, {**_LAZY, **_MOVED}, also=__all__)
