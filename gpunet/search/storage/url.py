"""URLs of studies: as users give them, as SQLAlchemy takes them, and as they may be printed."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from gpunet.errors import StudyError


def full_url(url: str | Path) -> str:
    """A URL as SQLAlchemy takes it, of one as users give it.

    Raises:
        StudyError: it is of no kind that is known.
    """
    text = str(url)
    if "://" not in text:
        if not text:
            raise StudyError("a study's storage must be named.", "A SQLite file will do: search.sqlite")
        return f"sqlite:///{Path(text).expanduser().absolute()}"
    scheme, _, rest = text.partition("://")
    if scheme in ("postgresql", "postgres"):
        try:
            _ = urlsplit(text).port
        except ValueError as error:
            raise StudyError(f"{shown(text)} is no URL: {error}", "E.g. postgresql://USER@HOST:5432/DATABASE") from None
        return f"postgresql+psycopg://{rest}"
    if scheme == "grpc":
        try:
            parts = urlsplit(text)
            known = bool(parts.hostname) and parts.port is not None
        except ValueError:
            known = False
        if not known:
            raise StudyError(f"{text} names no host and port.", "E.g. grpc://storage-host:13000")
        return text
    if scheme == "sqlite":
        path = rest.removeprefix("/")
        if not rest.startswith("/") or not path or path == ":memory:":
            raise StudyError(f"{text} names no file.", "E.g. sqlite:///search.sqlite")
        return f"sqlite:///{Path(path).expanduser().absolute()}"
    if scheme == "postgresql+psycopg":
        return text
    raise StudyError(
        f"{scheme}:// is no storage that gpunet knows.",
        "Give a SQLite file, postgresql://USER@HOST/DATABASE or grpc://HOST:PORT.",
    )


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL; None for others."""
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def shown(url: str) -> str:
    """A URL to print: as users give it, without its password."""
    path = sqlite_path(url)
    if path is not None:
        return str(path)
    url = url.replace("postgresql+psycopg://", "postgresql://", 1)
    return re.sub(r"(?i)([?&](?:ssl)?password=)[^&]*", r"\1***", re.sub(r"(//[^:/@]*):[^/]*@", r"\1:***@", url))
