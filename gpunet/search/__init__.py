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
    "Pool": "gpunet.search.optimize.domain",
    "Digit": "gpunet.search.spaces.space",
    "SearchSpace": "gpunet.search.spaces.space",
    "space_from_dict": "gpunet.search.spaces.space",
    "ConvSpace": "gpunet.search.spaces.conv_space",
    "StageChoices": "gpunet.search.spaces.stage_choices",
    "PAPER_SPACE": "gpunet.search.spaces.paper",
    "RELEASE_SPACE": "gpunet.search.spaces.paper",
    "VitSpace": "gpunet.search.spaces.vit_space",
    "VitSpec": "gpunet.search.spaces.vit_space",
    "Strata": "gpunet.search.tiers.stratify",
    "Estimator": "gpunet.latency.estimate",
    "Tier": "gpunet.search.tiers.tier",
    "RecipeTrainer": "gpunet.search.study.training",
    "SearchData": "gpunet.search.study.search_data",
    "Trained": "gpunet.search.study.trainer",
    "Trainer": "gpunet.search.study.trainer",
    "trainer_from_dict": "gpunet.search.study.training",
    "Study": "gpunet.search.study.study",
    "StudyDefinition": "gpunet.search.study.definition",
    "create_study": "gpunet.search.work.creation",
    "open_study": "gpunet.search.study.opening",
    "Worker": "gpunet.search.work.worker",
    "NetworkReport": "gpunet.report.data",
    "Report": "gpunet.report.data",
    "Sample": "gpunet.report.data",
    "TierReport": "gpunet.report.data",
    "TrialPoint": "gpunet.report.data",
    "read_report": "gpunet.report.data",
    "save_report": "gpunet.report.save",
    "write_report": "gpunet.report.data",
    "RandomSearch": "gpunet.search.optimize.baselines",
    "RegularizedEvolution": "gpunet.search.optimize.baselines",
    "SobolSearch": "gpunet.search.optimize.baselines",
    "plot_partition": "gpunet.search.optimize.pictures",
    "plot_regret": "gpunet.search.optimize.pictures",
}

__all__ = list(_LAZY)
__getattr__, __dir__ = lazily(__name__, _LAZY)
