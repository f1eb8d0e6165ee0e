"""Bytes and fields: a frame is a length in four bytes, then fields that each end with a NUL.

Also how values are written as text. Nothing here knows a message.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

UNSET = "1.7976931348623157E308"
"""How the wire writes a number that isn't there where it can't be left empty."""

PREFIX = struct.Struct(">I")
MAX_FRAME = 1 << 20
"""Longest frame taken from a client, bytes; a longer one is no message of this protocol."""


class WireError(ValueError):
    """What came isn't laid out as it should be."""


def frame(fields: Iterable[str]) -> bytes:
    """Return the fields as one frame."""
    body = "".join(f"{field}\0" for field in fields).encode()
    return PREFIX.pack(len(body)) + body


def body_length(prefix: bytes, most: int = MAX_FRAME) -> int:
    """Return how many bytes follow the four of ``prefix``. Raises WireError above ``most``."""
    (length,) = PREFIX.unpack(prefix)
    if length > most:
        raise WireError(f"a frame of {length} bytes: expected at most {most}")
    return int(length)


def split(body: bytes) -> list[str]:
    """Return the fields of a frame's body; what follows the last NUL is left out."""
    return body.decode(errors="replace").split("\0")[:-1]


def text(value: Any) -> str:
    """Return a value as the wire has it: nothing for None, ``1`` or ``0``, numbers as short as they go."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, Decimal):
        plain = format(value, "f")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    # A NUL would end the field early, and a lone backslash breaks the unescaping of a client.
    return str(value).replace("\0", "") if isinstance(value, str) else str(value)


def ascii_escaped(name: str) -> str:
    """Return a long name in ASCII, other characters and backslashes as escapes."""
    return name.encode("unicode_escape").decode("ascii")
