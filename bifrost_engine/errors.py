"""The tree of errors, split by whose fault it is.

    BifrostError
    ├── ConfigError          the operator's file, flags or environment (exit 2)
    ├── PluginError          a plugin that is missing, broken, doubled or built for another engine
    ├── LockHeld             another daemon works on the same state (exit 3)
    ├── BrokerError          the venue or the way to it
    │   ├── NotSent          proof that no byte of a request left
    │   ├── DuplicateRequest the same client order id was handed over twice in one session
    │   ├── NotSupported     the broker can't do this; see its ``broker_caps``
    │   └── GatewayLost      the connection is away; retried for ever
    ├── SinkError            a sink
    │   ├── SinkUnavailable  try again later, with back-off
    │   └── SinkRejected     a row that the sink's schema refuses; never skipped
    ├── JournalError         the journal on disk
    │   ├── JournalCorrupt   its hash chain or its file is broken; only a person mends it
    │   ├── JournalPruned    asked for rows that aren't kept any more
    │   └── JournalUnwritable disk full or I/O error; no order leaves meanwhile
    ├── DataError            a file of quotes, or of a result, that can't be read
    ├── OutputError          a result, recording or import that can't be written
    └── InvariantViolated    us: a defect

Every message names the object, what was expected, what was found and the next
step; the same facts are attributes where a caller may want them.
"""

from __future__ import annotations


class BifrostError(Exception):
    """Root of all expected failures; the command line prints it as one line."""


class ConfigError(BifrostError):
    """The operator's settings can't be used; nothing was started.

    problems  every problem found, one line each: ``file:line: key: expected …, was …``
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PluginError(BifrostError):
    """A plugin is missing, broken, present twice, or built for another hook version."""


class LockHeld(BifrostError):
    """Another daemon holds the lock on this state directory."""


class BrokerError(BifrostError):
    """The broker refused or couldn't be asked."""


class NotSent(BrokerError):
    """A request provably never left this process; raised by ``place_order`` only then."""


class DuplicateRequest(BrokerError):
    """A client order id was handed to the broker twice in one session; nothing was sent."""


class NotSupported(BrokerError):
    """The broker can't do what was asked; ``broker_caps`` says what it can."""


class GatewayLost(BrokerError):
    """The way to the broker is interrupted; the daemon waits and tries again."""


class SinkError(BifrostError):
    """A sink couldn't take what it was given."""


class SinkUnavailable(SinkError):
    """The sink is away for now; the same rows are offered again later."""


class SinkRejected(SinkError):
    """A sink's schema refuses a row; the drain stops there and an operator is told.

    jseq  the journal number of the refused row
    """

    def __init__(self, message: str, jseq: int) -> None:
        super().__init__(message)
        self.jseq = jseq


class JournalError(BifrostError):
    """The journal on disk can't be used as it is."""


class JournalCorrupt(JournalError):
    """The journal's file or hash chain is broken at a known place.

    jseq  the last number that still verifies
    """

    def __init__(self, message: str, jseq: int) -> None:
        super().__init__(message)
        self.jseq = jseq


class JournalPruned(JournalError):
    """Rows were asked for that were pruned; an operator says where to go on.

    jseq  the last number that isn't kept
    """

    def __init__(self, message: str, jseq: int) -> None:
        super().__init__(message)
        self.jseq = jseq


class JournalUnwritable(JournalError):
    """The journal can't be written (disk full, I/O error)."""


class DataError(BifrostError):
    """A file of market data, or of a result, can't be read; the message names it, and its line."""


class OutputError(BifrostError):
    """A file or folder to make can't be written (permission, disk full, I/O error); nothing of it is left."""


class InvariantViolated(BifrostError):
    """A defect of Bifrost itself."""
