"""What goes from the live run to a shadow's process: lengths and pickled values, one way.

Both ends are one program of one installation, and the pipe is theirs alone.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from struct import Struct
from typing import IO

from attrs import frozen

from bifrost_engine.clock import FAR
from bifrost_engine.config.schema import Config
from bifrost_engine.domain.broker import BrokerPosition
from bifrost_engine.domain.greeks import BrokerGreeks
from bifrost_engine.domain.quote import Quote

LENGTH = Struct("<I")
Item = Quote | BrokerGreeks
Claims = Mapping[str, Mapping[str, Decimal]]
"""Strategy → contract key → signed quantity."""


@frozen(kw_only=True)
class Beginning:
    """The first value: what to run, from where.

    folder     of the shadow's state
    at_ns      time at which the live run began, by its clock
    until_ns   time at which it is to end
    positions  what the live account holds; an account that is opened anew begins with these
    claims     the part of them that is in the live strategies' books
    fresh      set the state of earlier runs aside first
    """

    name: str
    path: Path
    config: Config
    folder: Path
    at_ns: int
    until_ns: int = FAR
    positions: tuple[BrokerPosition, ...] = ()
    claims: Claims
    fresh: bool = False


@frozen
class Portion:
    """The next of what the live engine saw, in its order.

    until_ns  time that had passed when it was handed over, 0 for that of its last quote
    """

    items: Sequence[Item]
    until_ns: int


@frozen
class Ending:
    """The live run has ended, for this reason."""

    reason: str


Value = Beginning | Portion | Ending


def write(file: IO[bytes], value: Value) -> None:
    """Write a value; blocks while the other end is behind. Raises OSError once that is gone."""
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    file.write(LENGTH.pack(len(data)) + data)
    file.flush()


def read(file: IO[bytes]) -> Iterator[Value]:
    """Yield the values that come, until the other end is gone."""
    while len(head := file.read(LENGTH.size)) == LENGTH.size:
        (length,) = LENGTH.unpack(head)
        if len(data := file.read(length)) < length:
            return
        yield pickle.loads(data)
