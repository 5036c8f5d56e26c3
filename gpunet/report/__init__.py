"""What a search found, as one page and as pictures; and its data, which any search can write.

Every public name loads its module on first use (PEP 562).
"""

from __future__ import annotations

from gpunet.core.lazy import lazily

_LAZY = {
    "NetworkReport": "gpunet.report.data",
    "Report": "gpunet.report.data",
    "Sample": "gpunet.report.data",
    "TierReport": "gpunet.report.data",
    "TrialPoint": "gpunet.report.data",
    "read_report": "gpunet.report.data",
    "save_report": "gpunet.report.save",
    "write_report": "gpunet.report.data",
}

__all__ = list(_LAZY)
__getattr__, __dir__ = lazily(__name__, _LAZY)
