"""Reading JSON that others may have written or damaged: every fault of it is one error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gpunet.errors import ABSENT_EXIT_CODE, FAILED_EXIT_CODE, GpunetError

_DEEPEST = 100


def parsed_json(text: str | bytes) -> Any:
    """What a text says as JSON.

    Raises:
        json.JSONDecodeError: (a ValueError) it is no JSON, no UTF-8, nested more than 100 deep, or has a number of
            thousands of digits.
    """
    shown = ""
    try:
        shown = text.decode("utf-8") if isinstance(text, bytes) else text
        found = json.loads(shown)
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        raise json.JSONDecodeError(str(error), shown, 0) from None
    except RecursionError:
        raise json.JSONDecodeError("nested too deep", shown, 0) from None
    if _is_deep(found):  # what walks through it would fail
        raise json.JSONDecodeError("nested too deep", shown, 0)
    return found


def checked_json(path: Path, *, error: type[GpunetError] = GpunetError, hint: str = "") -> Any:
    """What a file says as JSON.

    Args:
        path: of the file.
        error: the class that is raised.
        hint: what to do about a file that is damaged.

    Raises:
        GpunetError: (or `error`) it is not there or cannot be read (exit code 4), or is no JSON (exit code 6).
    """
    try:
        return parsed_json(path.read_bytes())
    except OSError as fault:
        raise error(f"{path} cannot be read: {fault.strerror or fault}.", exit_code=ABSENT_EXIT_CODE) from None
    except json.JSONDecodeError as fault:
        message = f"{path} is damaged: it cannot be read as JSON: {fault}"
        raise error(message, hint, exit_code=FAILED_EXIT_CODE) from None


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        parts = [part.values() if isinstance(part, dict) else part for part in level if isinstance(part, (dict, list))]
        level = [each for part in parts for each in part]
        if not level:
            return False
    return True
