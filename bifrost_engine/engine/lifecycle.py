"""The daemon's life as a state machine; what it does in each state is the host's affair."""

from __future__ import annotations

from bifrost_engine.domain.machine import ANY, Machine, Row

IDLE, CONNECTING, CONNECTED, WAITING = "IDLE", "CONNECTING", "CONNECTED", "WAITING_IB"
RUNNING, SUSPENDED = "RUNNING", "RUNNING_SUSPENDED"
STOPPING, STOPPED = "STOPPING", "STOPPED"
STATES = (IDLE, CONNECTING, CONNECTED, RUNNING, SUSPENDED, WAITING, STOPPING, STOPPED)

LIFECYCLE: Machine[bool] = Machine(
    "daemon",
    STATES,
    (
        Row((IDLE,), ("stop",), STOPPED),
        Row((ANY,), ("stop",), STOPPING, but=(STOPPING, STOPPED)),
        Row((STOPPING,), ("stopped",), STOPPED),
        Row((IDLE,), ("connect",), CONNECTING),
        Row((WAITING,), ("connect",), CONNECTING),
        Row((CONNECTING, WAITING), ("link_up",), CONNECTED),
        Row((CONNECTING, CONNECTED, RUNNING, SUSPENDED), ("link_down",), WAITING),
        Row((CONNECTED,), ("reconciled",), SUSPENDED, "all suspended"),
        Row((CONNECTED,), ("reconciled",), RUNNING),
        Row((RUNNING,), ("flags",), SUSPENDED, "all suspended"),
        Row((SUSPENDED,), ("flags",), RUNNING, "not all suspended"),
    ),
    {"all suspended": lambda all_: all_, "not all suspended": lambda all_: not all_},
)
