"""Studies in PostgreSQL: for many machines."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from gpunet.core.files import require
from gpunet.errors import StudyError
from gpunet.search.storage.sqlite import close_engine

# A server that vanished, with no word, is noticed within a minute or so.
_KEEPALIVES = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
               "tcp_user_timeout": 60_000}  # fmt: skip
_POOL = 32  # connections that are kept once they were needed: SQLAlchemy's five let a proxy open one for most calls


class PostgreSQL:
    """See `gpunet.search.storage.backends.Backend`."""

    at_once = 1

    def full_url(self, url: str) -> str:
        """See `Backend.full_url`."""
        scheme, _, rest = url.partition("://")
        if scheme == "postgresql+psycopg":
            return url
        try:
            _ = urlsplit(url).port
        except ValueError:  # its text may hold a part of the password
            raise StudyError(
                f"{self.shown(url)} is no URL: what stands for its port is no number.",
                "E.g. postgresql://USER@HOST:5432/DATABASE; in a password / ? # @ % are written %2F %3F %23 %40 %25.",
            ) from None
        return f"postgresql+psycopg://{rest}"

    def shown(self, url: str) -> str:
        """See `Backend.shown`."""
        url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        url = re.sub(r"(?s)(//[^:/@]*):.*@", r"\1:***@", url)  # to the last @: a password may hold anything
        url = re.sub(r"(?s)(//[^:/@]*):(?!\d*(?:[/?]|$))[^@]*$", r"\1:***", url)  # no @: what is no port
        return re.sub(r"(?i)([?&](?:ssl)?password=)[^&]*", r"\1***", url)

    def path(self, url: str) -> Path | None:
        """See `Backend.path`."""
        return None

    def open(self, optuna: ModuleType, url: str, *, reading: bool, make: bool, wait_s: float) -> Any:
        """See `Backend.open`."""
        require("psycopg", "cluster", purpose="to keep a study in PostgreSQL")
        made = optuna.storages.RDBStorage(
            url, engine_kwargs={"pool_pre_ping": True, "pool_size": _POOL, "connect_args": dict(_KEEPALIVES)}
        )
        _wait_for_locks(made.engine, wait_s)
        return optuna.storages.get_storage(made)

    def close(self, raw: Any) -> None:
        """See `Backend.close`."""
        close_engine(raw)


def _wait_for_locks(engine: Any, most_s: float) -> None:
    """Let PostgreSQL's transactions give up waiting for a lock after some time; they would wait without a word."""
    event: Any = require("sqlalchemy", "search", purpose="to keep a study").event

    def connected(connection: Any, _: Any) -> None:
        connection.execute(f"SET lock_timeout = {int(1000 * most_s)}")
        connection.commit()

    event.listen(engine, "connect", connected)
    engine.dispose()  # of connections made so far
