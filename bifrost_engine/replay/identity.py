"""The ids of a backtest, made from its inputs: the same inputs give the same ids anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

from attrs import frozen

from bifrost_engine import __version__
from bifrost_engine.config.plain import to_plain
from bifrost_engine.config.schema import Config
from bifrost_engine.plugins import find
from bifrost_engine.replay.dataset import DataSet

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
ELSEWHERE = ("status", "status_server", "feed", "record")
"""Keys of a configuration that say nothing of what is traded and how."""


@frozen
class Identity:
    """What the ids of one backtest are made from.

    digest  SHA-256 of all inputs
    """

    digest: str

    @property
    def journal_id(self) -> str:
        """The journal's id, a UUID."""
        return str(_uuid(self.digest))

    @property
    def engine_id(self) -> str:
        """Four characters, part of each client order id."""
        number, digits = int(self.digest, 16), ""
        for _ in range(4):
            number, digit = divmod(number, len(DIGITS))
            digits += DIGITS[digit]
        return digits

    def run_id(self, strategy_id: str) -> str:
        """A strategy's run, a UUID."""
        return str(_uuid(f"{self.digest} {strategy_id}"))


def _uuid(text: str) -> UUID:
    number = int.from_bytes(sha256(text.encode()).digest()[:16])
    version, variant = 0xF << 76, 0x3 << 62
    return UUID(int=number & ~version & ~variant | 0x8 << 76 | 0x2 << 62)


def identity(config: Config, data: DataSet) -> Identity:
    """Return the identity of a run of ``config``, as it is carried out, on ``data``."""
    inputs = {
        "versions": versions(config),
        "config": effective(config),
        "files": [file.sha256 for file in data.digests],
        "start_ns": data.start_ns,
        "end_ns": data.end_ns,
    }
    return Identity(digest_of(inputs))


def digest_of(values: Mapping[str, Any]) -> str:
    """Return the SHA-256, hexadecimal, of plain values."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()


def effective(config: Config) -> dict[str, Any]:
    """Return the settings that a backtest goes by, as plain values, secrets hidden."""
    plain = {key: value for key, value in to_plain(config).items() if key not in ELSEWHERE}
    plain["daemon"] = {key: value for key, value in plain["daemon"].items() if key != "state_dir"}
    return plain


def versions(config: Config) -> dict[str, str]:
    """Return the versions of the engine and of the plugins that take part."""
    wanted = [("brokers", config.broker), *(("strategies", s.use) for s in config.strategies)]
    found = {info.distribution: info.version for info in (find(kind, name) for kind, name in wanted)}
    return {"bifrost-engine": __version__} | {name: found[name] for name in sorted(found)}
