"""Notices when a holding changes and no execution that we heard of explains it: somebody else traded."""

from __future__ import annotations

from decimal import Decimal

from bifrost_ib.messages import ExecutionDetails, PositionReport
from bifrost_ib.translate.executions import SIDES
from bifrost_ib.translate.numbers import number

ZERO = Decimal(0)


class Holdings:
    """What the gateway reports as held in one account, and what executions make of it.

    A report may come before the execution that explains it, so who asks waits a moment between
    ``reported`` and ``is_explained``.
    """

    def __init__(self) -> None:
        self._reported: dict[int, Decimal] = {}
        self._expected: dict[int, Decimal] = {}
        self._seen: set[str] = set()

    def clear(self) -> None:
        """Begin anew: everything is reported again over a new connection."""
        self._reported.clear()
        self._expected.clear()

    def executed(self, details: ExecutionDetails) -> None:
        """Take an execution as it happens; those of a list are in the holdings already."""
        side, shares = SIDES.get(details.side), number(details.shares)
        if details.request_id >= 0 or details.exec_id in self._seen or side is None or shares is None:
            return
        self._seen.add(details.exec_id)
        con_id = details.contract.con_id
        self._expected[con_id] = self._expected.get(con_id, ZERO) + side.sign * shares

    def reported(self, report: PositionReport, *, is_news: bool) -> int | None:
        """Take a report; return its contract's number if it is unexplained so far.

        is_news  whether it came by itself, after everything was read once
        """
        con_id, quantity = report.contract.con_id, number(report.quantity)
        if quantity is None:
            return con_id if is_news else None
        self._reported[con_id] = quantity
        if not is_news:
            self._expected[con_id] = quantity
        return None if self.is_explained(con_id) else con_id

    def is_explained(self, con_id: int) -> bool:
        """Return whether the last report of a contract is what executions made of it."""
        return self._reported.get(con_id, ZERO) == self._expected.get(con_id, ZERO)

    def accept(self, con_id: int) -> None:
        """Take the last report as it is: it has been told of."""
        self._expected[con_id] = self._reported.get(con_id, ZERO)
