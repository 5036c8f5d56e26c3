"""Optuna without its own news."""

from __future__ import annotations

from gpunet.core.files import require


def quiet_optuna() -> None:
    """Keep Optuna's own news of every study and trial off the terminal: these commands tell what there is to tell."""
    optuna = require("optuna", "search", purpose="to keep a study")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
