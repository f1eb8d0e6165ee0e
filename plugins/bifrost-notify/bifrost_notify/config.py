"""What ``status.notify`` accepts. URLs hold tokens and passwords: they are never shown."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from bifrost_notify.alert import DEFAULT, KINDS


def _is_url(config: Config, attribute: Any, value: tuple[str, ...]) -> None:
    for number, url in enumerate(value, start=1):
        if not url.partition("://")[0].isidentifier() or "://" not in url:
            raise ValueError(f"urls: expected URLs such as mailtos://… or json://…, number {number} is none")


def _are_kinds(config: Config, attribute: Any, value: tuple[str, ...]) -> None:
    if unknown := [name for name in value if name not in KINDS]:
        raise ValueError(f"tell: expected some of {', '.join(KINDS)}, found {', '.join(unknown)}")


@frozen(kw_only=True)
class Config:
    """Section ``status.notify``."""

    urls: tuple[str, ...] = field(
        default=(),
        converter=tuple,
        validator=_is_url,
        repr=False,
        metadata={"secret": True, "help": "Where alerts go, as apprise writes it; each gets all of them"},
    )
    tell: tuple[str, ...] = field(
        default=DEFAULT, converter=tuple, validator=_are_kinds, metadata={"help": "Kinds of alerts to send"}
    )
    quiet_s: float = field(
        default=300.0,
        metadata={
            "help": "How long the same isn't told again, and how long a lamp must last that isn't urgent",
            "ge": 0,
            "le": 86_400,
            "unit": "s",
        },
    )
    most_per_hour: int = field(
        default=30,
        metadata={
            "help": "Alerts in an hour before others than kill, halts and the lamp wait; 0: any number",
            "ge": 0,
            "le": 10_000,
        },
    )
    sender: str = field(default="Bifrost", metadata={"help": "What titles begin with, to tell daemons apart"})
