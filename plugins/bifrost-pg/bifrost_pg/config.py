"""What ``status.postgres`` accepts, and when it counts as set.

Nothing is read here but the environment's names; values that are not set are left to
libpq, which takes them from the PG* variables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

ENVIRONMENT = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE", "PGUSER")
"""Any of these names a database."""


def _port(config: Config, attribute: Any, value: int | None) -> None:
    if value is not None and not 1 <= value <= 65535:
        raise ValueError(f"port: expected 1 to 65535, was {value}")


def _timeout(config: Config, attribute: Any, value: float) -> None:
    if not 3.0 <= value <= 600.0:
        raise ValueError(f"session_timeout: expected 3 to 600 s, was {value:g}")


@frozen(kw_only=True)
class Config:
    """Section ``status.postgres``.

    host, port, database, user, password
        where and as whom to connect; what is missing comes from the PG* variables
    dsn            a libpq connection string or URI; the single settings override it
    embedded       run a private server in the state directory instead
    manage_schema  create and upgrade the tables at start; else only verify them
    session_timeout  seconds of silence after which the server ends the daemon's session, and with
                   it the lock; the daemon asks for commands each second
    """

    host: str | None = None
    port: int | None = field(default=None, validator=_port)
    database: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False, metadata={"secret": True})
    dsn: str | None = field(default=None, repr=False, metadata={"secret": True})
    embedded: bool = False
    manage_schema: bool = True
    session_timeout: float = field(default=20.0, validator=_timeout)

    def __attrs_post_init__(self) -> None:
        if self.embedded and self.given():
            names = ", ".join(self.given())
            raise ValueError(f"embedded: expected no other address beside it, found {names}")

    def given(self) -> tuple[str, ...]:
        """Return the names of the address settings that are set."""
        names = ("host", "port", "database", "user", "password", "dsn")
        return tuple(name for name in names if getattr(self, name) is not None)

    def names_database(self, environ: Mapping[str, str] = os.environ) -> bool:
        """Return whether a database is named at all, here or by the PG* variables."""
        return self.embedded or bool(self.given()) or any(name in environ for name in ENVIRONMENT)
