"""The search of the paper's section 3: where to look, and what to train next.

Every public name loads its module, and with it torch or BoTorch, on first use (PEP 562).
"""

from __future__ import annotations

from gpunet.lazy import lazily

_LAZY = {
    "Box": "gpunet.search.optimize.domain",
    "Domain": "gpunet.search.optimize.domain",
    "GaussianProcessBo": "gpunet.search.optimize.baselines",
    "LaMcts": "gpunet.search.optimize.lamcts",
    "LaMctsSampler": "gpunet.search.optimize.optuna_sampler",
    "Lattice": "gpunet.search.optimize.domain",
    "Pool": "gpunet.search.optimize.domain",
    "Digit": "gpunet.search.space",
    "SearchSpace": "gpunet.search.space",
    "space_from_dict": "gpunet.search.space",
    "ConvSpace": "gpunet.search.conv_space",
    "StageChoices": "gpunet.search.conv_space",
    "PAPER_SPACE": "gpunet.search.paper",
    "RELEASE_SPACE": "gpunet.search.paper",
    "VitSpace": "gpunet.search.vit_space",
    "VitSpec": "gpunet.search.vit_space",
    "Strata": "gpunet.search.stratify",
    "Estimator": "gpunet.latency.estimate",
    "Tier": "gpunet.search.tier",
    "RecipeTrainer": "gpunet.search.training",
    "SearchData": "gpunet.search.search_data",
    "Trained": "gpunet.search.trainer",
    "Trainer": "gpunet.search.trainer",
    "trainer_from_dict": "gpunet.search.training",
    "Study": "gpunet.search.study",
    "StudyDefinition": "gpunet.search.definition",
    "create_study": "gpunet.search.study",
    "open_study": "gpunet.search.study",
    "Worker": "gpunet.search.worker",
    "NetworkReport": "gpunet.search.report_data",
    "Report": "gpunet.search.report_data",
    "Sample": "gpunet.search.report_data",
    "TierReport": "gpunet.search.report_data",
    "TrialPoint": "gpunet.search.report_data",
    "read_report": "gpunet.search.report_data",
    "save_report": "gpunet.search.report",
    "write_report": "gpunet.search.report_data",
    "RandomSearch": "gpunet.search.optimize.baselines",
    "RegularizedEvolution": "gpunet.search.optimize.baselines",
    "SobolSearch": "gpunet.search.optimize.baselines",
    "plot_partition": "gpunet.search.optimize.pictures",
    "plot_regret": "gpunet.search.optimize.pictures",
}

__all__ = list(_LAZY)
__getattr__, __dir__ = lazily(__name__, _LAZY)
