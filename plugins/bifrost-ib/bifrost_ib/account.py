"""The login's accounts, for the tables that people look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bifrost_engine.domain import AccountStatement
from bifrost_ib.messages import AccountValue, PositionReport
from bifrost_ib.translate.account import holdings_of, summary_of


def statements(
    accounts: Iterable[str], positions: Sequence[PositionReport] | None, summary: Sequence[AccountValue]
) -> tuple[AccountStatement, ...]:
    """Return what each account of a login holds and is worth.

    positions  of all of them; None if they couldn't be read, so that nothing counts as closed
    """
    return tuple(_statement(account, positions, summary) for account in accounts)


def _statement(
    account: str, positions: Sequence[PositionReport] | None, summary: Sequence[AccountValue]
) -> AccountStatement:
    held = holdings_of(positions or (), account)
    return AccountStatement(
        account=account,
        positions=held.positions,
        summary=summary_of(summary, account).values,
        complete=positions is not None and held.is_whole,
    )
