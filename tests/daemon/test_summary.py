from __future__ import annotations

from decimal import Decimal
from typing import Any

from bifrost_engine.daemon.summary import DayParts, tally
from bifrost_engine.domain.record import Record
from bifrost_engine.journal.attribution import Moves


def records(*rows: tuple[str, dict[str, Any], str | None]) -> list[Record]:
    return [
        Record(n, n * 1000, kind, "a", order, payload) for n, (kind, payload, order) in enumerate(rows, 1)
    ]


def operation(kind: str) -> tuple[str, dict[str, Any], None]:
    return ("operation", {"type": kind}, None)


def sent(purpose: str = "HEDGE") -> tuple[str, dict[str, Any], str]:
    return ("order_event", {"event": "SUBMIT", "order": {"purpose": purpose}}, "o")


def fill(base_id: str, quantity: str, commission: str | None, kind: str = "TRADE", order: str | None = "o"):
    return ("fill", {"base_id": base_id, "quantity": quantity, "commission": commission, "kind": kind}, order)


def test_a_run_is_counted_from_its_own_start():
    found = tally(records(operation("start"), sent(), operation("start"), sent(), sent("FLATTEN")))
    assert (found.hedges, found.start_ns, found.end_ns) == (1, 3000, 5000)


def test_fills_of_orders_are_counted_and_adjustments_are_not():
    found = tally(
        records(
            operation("start"),
            fill("adj", "100", "0", "ADJUST", None),
            fill("e1", "30", "1.00"),
            fill("e2", "25", "0.35"),
        )
    )
    assert (found.fills, found.shares, found.commission) == (2, Decimal(55), Decimal("1.35"))


def test_a_later_commission_takes_the_place_of_an_earlier_one():
    late = ("commission", {"base_id": "e1", "commission": "0.80"}, None)
    found = tally(records(operation("start"), fill("e1", "30", None), late, late))
    assert found.commission == Decimal("0.80")


def test_decisions_are_counted_with_their_repetitions():
    signal = ("signal", {"kind": "none", "reasons": ["D0 IN_BAND x"]}, None)
    repeated = ("signal", {"kind": "none", "n": 9, "last_ts_ns": 5, "of_jseq": 2}, None)
    found = tally(records(operation("start"), signal, repeated, signal))
    assert (found.decisions, dict(found.codes)) == (11, {"D0 IN_BAND": 11})


def test_an_empty_journal_is_an_empty_tally():
    assert tally([]).decisions == 0


def test_what_the_moves_dont_explain_is_the_rest():
    parts = DayParts(
        strategy_id="a",
        symbol="SPY",
        total=None,
        options=100.0,
        stock=0.0,
        commission=0.0,
        slippage=0.0,
        moves=Moves(delta=40.0, gamma=70.0, theta=-30.0),
    )
    assert parts.unexplained == 20.0
