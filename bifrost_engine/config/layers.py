"""What lies above the file: environment, database, command line; later wins.

Puts values into the document, each with its source; what they are is checked afterwards.
Also decides what depends on the whole of it: broker and sinks that nobody named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from bifrost_engine.config.document import parse_value, plain_scalar
from bifrost_engine.config.layout import STRATEGY_KEYS, Layout
from bifrost_engine.config.section import Document, KeyPath, Problem
from bifrost_engine.errors import ConfigError

ENVIRONMENT: Mapping[str, KeyPath] = {
    "IB_HOST": ("ib", "host"),
    "IB_PORT": ("ib", "port"),
    "IB_CLIENT_ID": ("ib", "client_id"),
}
"""Variable → the key that it overrides. ``BIFROST_STATE_DIR`` only stands in for a missing key."""

NUMBERS_IN_ENVIRONMENT = ("IB_PORT", "IB_CLIENT_ID")
POSTGRES_VARIABLES = (
    "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGSERVICE",
)  # fmt: skip


@frozen
class Override:
    """A value from the command line.

    path    key as in the file: ``broker``, ``gates.state.delta.epsilon_band``, or
            ``strategies.<id>.…`` where there are several strategies
    option  the option that said so, such as ``--broker``
    """

    path: str
    value: Any
    option: str = "--set"

    @property
    def source(self) -> str:
        """Where it came from, in words."""
        return f"command line {self.option}"


def parse_override(text: str, option: str = "--set") -> Override:
    """Return ``KEY=VALUE`` from a command line, the value read as the file's would be.

    Raises ConfigError where there is no ``=`` or the value can't be read.
    """
    key, equals, value = text.partition("=")
    source = f"command line {option}"
    if not equals or not key.strip():
        raise ConfigError(f"{source}: expected KEY=VALUE, was the text '{text[:60]}'")
    read, problems = parse_value(value.strip(), source)
    if problems:
        raise ConfigError(*map(str, problems))
    return Override(key.strip(), read, option)


@frozen
class Layers:
    """What lies above the file, lowest first."""

    overrides: Iterable[Override]
    environ: Mapping[str, str]
    database: Mapping[str, Any]

    def apply(self, layout: Layout) -> None:
        """Put every layer over the document; also decide what depends on the file alone."""
        document = layout.document
        _default_broker(document)
        for variable, path in ENVIRONMENT.items():
            text = self.environ.get(variable)
            if text:
                value = plain_scalar(text) if variable in NUMBERS_IN_ENVIRONMENT else text
                document.put(path, value, f"environment {variable}")
        if self.environ.get("BIFROST_STATE_DIR") and not _is_set(document, ("daemon", "state_dir")):
            document.put(
                ("daemon", "state_dir"), self.environ["BIFROST_STATE_DIR"], "environment BIFROST_STATE_DIR"
            )
        for section, settings in self.database.items():
            for key, value in settings.items() if isinstance(settings, Mapping) else ():
                document.put((section, key), value, "database")
        for override in self.overrides:
            self._override(layout, override)
        self._default_sinks(document)

    def _override(self, layout: Layout, override: Override) -> None:
        path = _override_path(layout.document, override.path)
        if path is None or not layout.document.put(path, override.value, override.source):
            message = "expected a key, with strategies.<id> before it where there are several, was this"
            layout.problems.append(Problem(override.source, override.path, message))

    def _default_sinks(self, document: Document) -> None:
        if _is_set(document, ("status", "sink")):
            return
        variable = next((v for v in POSTGRES_VARIABLES if self.environ.get(v)), None)
        if document.has(("status", "postgres")):
            document.put(("status", "sink"), ["postgres"], document.source(("status", "postgres")))
        elif variable:
            document.put(("status", "sink"), ["postgres"], f"environment {variable}")


def _default_broker(document: Document) -> None:
    if "ib" in document.values and not document.has(("broker",)):
        document.put(("broker",), "ib", document.source(("ib",)))


def _is_set(document: Document, path: KeyPath) -> bool:
    return document.has(path) and document.get(path) is not None


def _override_path(document: Document, text: str) -> KeyPath | None:
    """Return where an override goes; None where it isn't clear which strategy is meant."""
    keys = text.replace("[", ".").replace("]", "").split(".")
    entries = (
        document.values.setdefault("strategies", [{}]) if keys[0] in (*STRATEGY_KEYS, "strategies") else []
    )
    if not isinstance(entries, list) or not all(keys):
        return None
    if keys[0] in STRATEGY_KEYS:
        return ("strategies", 0, *keys) if len(entries) == 1 else None
    if keys[0] != "strategies":
        return tuple(keys)
    names = [str(e.get("id", "gamma")) if isinstance(e, dict) else "" for e in entries]
    names += [str(index) for index in range(len(entries))]
    if len(keys) < 3 or keys[1] not in names:
        return None
    return ("strategies", names.index(keys[1]) % len(entries), *keys[2:])
