"""timm's networks with published accuracies, as entries of the zoo; none is downloaded or built to be found."""

from __future__ import annotations
