"""Networks with their latencies: the package's own, those of a folder, those of this machine; and how one is published.

Every public name loads its module on first use (PEP 562).
"""

from __future__ import annotations

from gpunet.core.lazy import lazily

_LAZY = {
    "Publication": "gpunet.zoo.publishing.publication",
    "Query": "gpunet.zoo.choice.conditions",
    "add_entry": "gpunet.zoo.publishing.add",
    "publish_entry": "gpunet.zoo.publishing.publish",
    "push_to_hub": "gpunet.zoo.publishing.hub",
    "record_from_measurement": "gpunet.zoo.measured",
}

__all__ = list(_LAZY)
__getattr__, __dir__ = lazily(__name__, _LAZY)
