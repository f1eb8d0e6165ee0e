"""A server's refusal in one sentence, with what to do about it.

A table of patterns in libpq's and the server's words; the first that fits speaks. What
fits none is passed on as the server said it, on one line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Explain = Callable[[re.Match[str]], str]


_ADD = "add this line to pg_hba.conf on the server"


def _hba_line(found: re.Match[str]) -> str:
    address, user, database, how = found.group("address", "user", "database", "how")
    reload = "reload it there: SELECT pg_reload_conf();"
    if address == "[local]":
        return f"{_ADD}: local {database} {user} scram-sha-256 — and {reload}"
    kind = "hostssl" if how and how.startswith("SSL") and how != "SSL off" else "host"
    line = f"{kind} {database} {user} {address}/{128 if ':' in address else 32} scram-sha-256"
    hint = "" if kind == "hostssl" else " (or, if it admits encrypted connections only: sslmode=require)"
    return f"{_ADD}: {line} — and {reload}{hint}"


def _text(sentence: str) -> Explain:
    return lambda found: sentence.format(**{k: v or "?" for k, v in found.groupdict().items()})


_TABLE: tuple[tuple[str, Explain], ...] = (
    (
        r'no pg_hba\.conf entry for host "(?P<address>[^"]+)", user "(?P<user>[^"]+)", '
        r'database "(?P<database>[^"]+)"(?:, (?P<how>[^\n]+))?',
        _hba_line,
    ),
    (
        r"pg_hba\.conf rejects connection",
        _text("pg_hba.conf on the server rejects it; put a line that admits it before the one that does"),
    ),
    (
        r"does not support SSL, but SSL was required",
        _text("the server has no SSL; switch it on there (ssl = on), or set sslmode=prefer in dsn"),
    ),
    (
        r"(?i)sslmode=require|ssl[^\n]{0,20} (?:is )?required|requires? ssl",
        _text("the server admits only encrypted connections; set sslmode=require in status.postgres.dsn"),
    ),
    (
        r'password authentication failed for user "(?P<user>[^"]+)"',
        _text("wrong password for user {user}; correct status.postgres.password or PGPASSWORD"),
    ),
    (
        r"no password supplied",
        _text("the server asks for a password; set status.postgres.password or PGPASSWORD"),
    ),
    (
        r'(?:peer|ident) authentication failed for user "(?P<user>[^"]+)"',
        _text(
            "the server lets in only the system user {user} here; give a host, "
            "or allow scram-sha-256 in pg_hba.conf"
        ),
    ),
    (
        r'database "(?P<database>[^"]+)" does not exist',
        _text("there is no database {database}; create it: createdb {database}"),
    ),
    (
        r'role "(?P<user>[^"]+)" does not exist',
        _text("there is no role {user}; create it: createuser --pwprompt {user}"),
    ),
    (
        r"too many (?:clients|connections)|remaining connection slots",
        _text("the server has no free connection; end some, or raise max_connections"),
    ),
    (
        r"[Cc]onnection refused|No such file or directory",
        _text("no server listens there; start it, or correct host and port of status.postgres"),
    ),
    (
        r"could not translate host name|[Nn]ame or service not known|failed to resolve host|"
        r"[Tt]emporary failure in name resolution",
        _text("the host name is unknown; correct status.postgres.host"),
    ),
    (
        r"timeout expired|[Cc]onnection timed out|No route to host|Network is unreachable",
        _text("no answer; check the network and the server's firewall"),
    ),
    (
        r"the database system is (?P<state>starting up|shutting down|in recovery mode|not yet accepting)",
        _text("the server is {state}; it is tried again"),
    ),
    (
        r"permission denied for (?P<kind>schema|table|sequence|database) (?P<name>\S+)",
        _text(
            "the role lacks rights on {kind} {name}; grant them as its owner "
            "(a schema: GRANT CREATE, USAGE ON SCHEMA {name} TO the role)"
        ),
    ),
    (
        r'(?:relation|column|type) "(?P<name>[^"]+)"[^\n]* does not exist',
        _text("{name} is missing; run: bifrost db refresh"),
    ),
)

REFUSALS = tuple((re.compile(pattern), explain) for pattern, explain in _TABLE)


def explain(error: BaseException, secrets: tuple[Any, ...] = ()) -> str:
    """Return what ``error`` means and the next step, on one line, without ``secrets``."""
    said = str(error) or type(error).__name__
    for pattern, words in REFUSALS:
        found = pattern.search(said)
        if found:
            return _without(words(found), secrets)
    return _without(" ".join(said.split()), secrets)


def _without(text: str, secrets: tuple[Any, ...]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(str(secret), "•••")
    return text
