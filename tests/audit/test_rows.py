"""Records of the journal as rows of the audit trail."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bifrost_engine.audit import KINDS, TABLES, Change, Row, rows_of
from bifrost_engine.config.strategy import ExternalClaim, StrategyConfig
from bifrost_engine.domain import AuditRow
from bifrost_engine.testing.audit import batches, eventful_records
from bifrost_engine.testing.engine import STOCK, EngineUnderTest, make_slot


@pytest.fixture(scope="module")
def made():
    """The rows and changes of an eventful day, each with the record that they come from."""
    (batch,) = batches(eventful_records())
    return [(record, one) for record in batch.rows for one in rows_of(record, "journal-a")]


def rows_in(made, table):
    return [dict(row.values) for _, row in made if isinstance(row, Row) and row.table == table]


def only(made, kind, base_id):
    """Return what the one record of a kind that speaks of an execution makes."""
    return [one for record, one in made if record.kind == kind and record.payload.get("base_id") == base_id]


def test_the_day_has_every_kind_and_fills_every_table(made):
    assert {*(record.kind for record, _ in made), "transfer"} == set(KINDS)
    assert {row.table for _, row in made} == set(TABLES)


def test_a_transfer_is_two_executions_of_opposite_sides_under_one_number():
    config = StrategyConfig(
        symbol="NVDA", claims_external=(ExternalClaim(instrument=STOCK.key, qty=Decimal(2)),)
    )
    run = EngineUnderTest(strategies=[make_slot(config)], positions=((STOCK, 7),))
    run.mid(100.0)  # nobody tells what they cost: a claim waits for their first mark
    run.beat()
    (batch,) = batches(run.stored_records())
    (record,) = [record for record in batch.rows if record.kind == "transfer"]
    legs = [dict(row.values) for row in rows_of(record, "journal-a")]
    assert [(leg["owner"], leg["side"], leg["qty"], leg["jseq"]) for leg in legs] == [
        ("EXTERNAL", "SELL", Decimal(2), record.jseq),
        ("gamma", "BUY", Decimal(2), record.jseq),
    ]


def test_each_row_has_its_tables_columns_and_each_change_some_of_them(made):
    for record, one in made:
        columns = TABLES[one.table].columns
        if isinstance(one, Change):
            assert {*one.values, *one.where} <= columns.keys(), record
            assert "jseq" in columns, "a change is for rows of earlier records"
        else:
            assert one.values.keys() == columns.keys(), record


def test_each_value_is_of_its_columns_kind(made):
    kinds = {
        "text": str,
        "integer": int,
        "amount": Decimal,
        "boolean": bool,
        "jsonb": (dict, list, str),
    }
    for record, one in made:
        for name, value in one.values.items():
            expected = kinds.get(TABLES[one.table].columns[name])
            if value is not None and expected is not None:
                assert isinstance(value, expected), (record.kind, name, value)


def test_rows_of_a_log_are_named_by_journal_and_record(made):
    for record, one in made:
        if isinstance(one, Row) and TABLES[one.table].key == ("journal_id", "jseq"):
            assert (one.values["journal_id"], one.values["jseq"]) == ("journal-a", record.jseq)


def test_a_chain_leads_from_each_order_of_ours_to_what_was_seen_by_falling_numbers(made):
    decisions = {row["jseq"]: row for row in rows_in(made, "order_decision_log")}
    risks = {row["jseq"]: row for row in rows_in(made, "risk_decision_log")}
    signals = {row["jseq"]: row for row in rows_in(made, "signal_snapshot_log")}
    first_event = {}
    for row in rows_in(made, "order_event_log"):
        first_event.setdefault(row["client_order_id"], row["jseq"])
    orders = rows_in(made, "orders")
    assert len({row["client_order_id"] for row in orders}) == 5
    for order in orders:
        decision = decisions[order["decision_jseq"]]
        risk = risks[decision["risk_jseq"]]
        signal = signals[risk["signal_jseq"]]
        event = first_event[order["client_order_id"]]
        assert signal["jseq"] < risk["jseq"] < decision["jseq"] < event
        assert not signal["filtered"]
        assert risk["decision"] in ("ALLOW", "REDUCE")


def test_the_chain_of_a_filtered_signal_ends_with_it_and_that_of_a_blocked_one_with_the_gates(made):
    signals = rows_in(made, "signal_snapshot_log")
    judged = {row["signal_jseq"]: row for row in rows_in(made, "risk_decision_log")}
    followed = {row["risk_jseq"] for row in rows_in(made, "order_decision_log")}
    filtered = [row for row in signals if row["filtered"]]
    assert any("S1 GREEKS_BAD" in row["filter_reasons"] for row in filtered)
    assert [row for row in filtered if row["jseq"] in judged] == []
    blocked = [row for row in judged.values() if row["decision"] == "BLOCK"]
    assert blocked[0]["reason"] == "cooldown"
    assert {"gate": "cooldown", "verdict": "vetoed"}.items() <= next(
        gate for gate in blocked[0]["risk_json"] if gate["gate"] == "cooldown"
    ).items()
    assert [row for row in blocked if row["jseq"] in followed] == []


def test_an_event_that_moves_an_order_has_a_row_of_its_states_and_another_has_none(made):
    moves = {
        (row["event"], row["from_state"], row["to_state"])
        for row in rows_in(made, "order_state_log")
        if row["client_order_id"] == "BF-test-gamma-3"
    }
    assert moves == {
        ("SUBMIT", "NEW", "SUBMITTED"),
        ("DOUBT", "SUBMITTED", "UNKNOWN"),
        ("FILL_FULL", "UNKNOWN", "FILLED"),
    }
    events = [row for row in rows_in(made, "order_event_log") if row["client_order_id"] == "BF-test-gamma-3"]
    assert [row["event"] for row in events] == ["SUBMIT", "PLACED", "DOUBT", "FILL_FULL"]


def test_an_orders_row_sums_up_its_executions(made):
    *_, filled = (row for row in rows_in(made, "orders") if row["client_order_id"] == "BF-test-gamma-1")
    assert filled["status"] == "FILLED"
    assert filled["cum_qty"] == filled["qty"] == Decimal(152)
    # 142 at 101.01, and 10 at the corrected 101.02
    assert filled["avg_px"] == Decimal("101.0106578947")
    assert filled["overfill_qty"] == 0


def test_a_correction_marks_what_it_corrects(made):
    row, change = only(made, "fill", "x1")[1:]
    assert (row.values["exec_rev"], row.values["kind"]) == (2, "CORRECTION")
    assert change.where == {"journal_id": "journal-a", "account": "DTEST", "exec_base_id": "x1"}
    assert change.values == {"superseded_by": "x1:2"}


def test_a_later_commission_changes_the_executions_row(made):
    ((change),) = only(made, "commission", "x0")
    assert change.where == {"journal_id": "journal-a", "exec_base_id": "x0"}
    assert change.values == {"commission": Decimal("1.25"), "commission_ccy": "USD"}


@pytest.mark.parametrize("number", [7, "7", "journal-a:7", ":7"])
def test_a_comparison_has_one_name_however_its_number_is_given(number):
    payload = {"recon_id": number, "result": "CLEAN", "ended_ns": 1}
    record = AuditRow(
        jseq=9, ts_ns=2, kind="recon_end", strategy_id=None, client_order_id=None, payload=payload
    )
    (change,) = rows_of(record, "journal-a")
    assert change.where == {"recon_id": "journal-a:7"}


def test_a_perm_id_of_zero_is_none(made):
    record = next(record for record, _ in made if record.kind == "order_event")
    order = {**record.payload["order"], "perm_id": "0"}
    without = AuditRow(
        jseq=1,
        ts_ns=1,
        kind="order_event",
        strategy_id="gamma",
        client_order_id=record.client_order_id,
        payload={**record.payload, "order": order},
    )
    assert next(iter(rows_of(without, "journal-a"))).values["perm_id"] is None


def test_a_kind_without_a_table_has_no_rows():
    record = AuditRow(jseq=1, ts_ns=1, kind="legs", strategy_id="gamma", client_order_id=None, payload={})
    assert list(rows_of(record, "journal-a")) == []
