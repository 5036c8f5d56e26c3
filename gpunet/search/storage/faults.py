"""What is wrong with a study's storage: which errors pass, which do not, and what to do."""

from __future__ import annotations

import re

# What no waiting mends.
_HOPELESS = re.compile(
    r"malformed|not a database|no such (table|column)|password authentication|no password supplied|does not exist",
    re.IGNORECASE,
)
# Others are at work, or it is on its way: it passes by itself.
_BUSY = re.compile(r"locked|lock timeout|too many (clients|connections)|starting up|shutting down", re.IGNORECASE)
# SQLAlchemy's; the last three are of two that make the tables at once, and of PostgreSQL's 'terminating connection'.
_PASSING = ("OperationalError", "InterfaceError", "TimeoutError", "DBAPIError", "DatabaseError", "IntegrityError",
            "ProgrammingError", "InternalError")  # fmt: skip


def passing_reason(error: BaseException) -> str | None:
    """What is wrong with the storage, in a line; None for an error that has nothing to do with it."""
    seen: BaseException | None = error
    while seen is not None:
        name, module = type(seen).__name__, type(seen).__module__
        if module.startswith("sqlalchemy") and name in _PASSING:
            return str(getattr(seen, "orig", None) or seen).strip().partition("\n")[0]
        if hasattr(seen, "code") and hasattr(seen, "details") and module.startswith("grpc"):
            status = seen.code().name
            if status in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "UNKNOWN", "INTERNAL", "CANCELLED"):
                return f"{status.lower()}: {(seen.details() or '').strip().partition(chr(10))[0]}"
        if isinstance(seen, ConnectionError):
            return str(seen)
        # Not what it was raised in the midst of: 'there is such a study' comes of an IntegrityError, and is an answer.
        seen = seen.__cause__
    return None


def is_hopeless(reason: str) -> bool:
    """Whether no waiting mends it."""
    return bool(_HOPELESS.search(reason))


def is_damaged(reason: str) -> bool:
    """Whether the file is no database, or no whole one, or has other tables."""
    return bool(re.search("malformed|not a database|no such column", reason, re.IGNORECASE))


def is_busy(reason: str) -> bool:
    """Whether it serves others meanwhile, or is about to serve: waiting is right, even before anything was made."""
    return bool(_BUSY.search(reason))


def advice(reason: str) -> str:
    """What to do about it."""
    lower = reason.lower()
    if "readonly" in lower or "read-only" in lower:
        return "Make it writable and run the same command again: everything recorded is kept."
    if "full" in lower or "no space" in lower:
        return "Make room on its disk and run the same command again: everything recorded is kept."
    if is_damaged(reason):
        return "The file is damaged or something else; restore it from a copy."
    return "When it answers again, run the same command: everything recorded is kept."
