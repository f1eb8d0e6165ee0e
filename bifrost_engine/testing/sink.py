"""The suite for sinks: every field taken, nothing doubled, nothing skipped.

A subclass also says how to read back what was written: ``rows``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bifrost_engine.domain import AuditAck, AuditBatch, AuditRow, ControlState
from bifrost_engine.domain.control import COMMANDS
from bifrost_engine.domain.rows import ORDER_OPERATIONS
from bifrost_engine.testing.build import START_NS, make_operation, make_snapshot
from bifrost_engine.testing.conformance import PluginConformance, Subject

ALWAYS = {"daemon_state", "trading_state", "symbol", "ts", "type", "strategy_id", "journal_id", "jseq"}
"""Fields that are never None."""

POSITION = {
    "contract_key": "SPY|STK|||",
    "symbol": "SPY",
    "sec_type": "STK",
    "exchange": "SMART",
    "currency": "USD",
    "position": -137.0,
    "avg_cost": 100.5,
    "expiry": None,
    "strike": None,
    "option_right": None,
    "multiplier": 1.0,
}
ACCOUNT = {
    "account_id": "DU000001",
    "net_liquidation": 250_000.0,
    "total_cash": 90_000.0,
    "buying_power": None,
    "summary_extra": {"currency": "USD"},
    "positions": [POSITION],
}
PRICE = {
    "contract_key": "SPY|STK|||",
    "symbol": "SPY",
    "sec_type": "STK",
    "expiry": None,
    "strike": None,
    "option_right": None,
    "last": None,
    "bid": 100.00,
    "ask": 100.02,
    "mid": 100.01,
}
HEARTBEAT = {
    "last_ts_ns": START_NS,
    "daemon_state": "RUNNING",
    "hedge_running": True,
    "ib_connected": False,
    "ib_client_id": None,
    "next_retry_ts_ns": None,
    "seconds_until_retry": None,
    "graceful_shutdown_at_ns": None,
    "interval_s": 10,
    "hostname": "example",
    "pid": 4711,
    "version": "0.1.0",
    "role": "active",
}


class SinkConformance(PluginConformance):
    """What every sink must do. Tests of hooks that it doesn't implement are skipped."""

    kind = "sinks"
    needs_one_of = ("write_snapshot", "write_operation", "write_audit", "poll_control", "load_settings")

    def rows(self, subject: Subject, what: str) -> Sequence[Mapping[str, Any]]:
        """Return what the sink holds; give this one in the subclass.

        what  ``snapshot`` (the newest ones), ``history`` or ``operations``, the latter two in
              the order of writing, with ``journal_id`` and ``jseq`` in an operation
        """
        raise NotImplementedError(f"{type(self).__name__}.rows: return the rows of {what} as mappings")

    def audit_row(self, jseq: int) -> AuditRow:
        """Return a journal record that the sink stores among its operations."""
        return AuditRow(
            jseq=jseq,
            ts_ns=START_NS + jseq,
            kind="operation",
            strategy_id="main",
            client_order_id=f"BF.test.{jseq}",
            payload=make_operation(jseq, quantity="10", price="100.00"),
        )

    def batch(self, first: int, last: int, journal_id: str = "journal-a") -> AuditBatch:
        """Return the journal's records from ``first`` to ``last``; none if ``last`` is below ``first``."""
        rows = tuple(self.audit_row(jseq) for jseq in range(first, last + 1))
        return AuditBatch(
            journal_id=journal_id, first_jseq=first, last_jseq=last, last_hash=f"{last:064x}", rows=rows
        )

    def stored(self, subject: Subject) -> list[tuple[str, int]]:
        """Return ``(journal_id, jseq)`` of the operations that the sink holds."""
        return [(row["journal_id"], row["jseq"]) for row in self.rows(subject, "operations")]

    # --- newest state ------------------------------------------------------------------

    def test_a_newer_snapshot_takes_the_place_of_the_one_before(self, tmp_path: Path) -> None:
        sink = self.subject(tmp_path)
        sink.call("write_snapshot", make_snapshot(spot=100.0), False)
        sink.call("write_snapshot", make_snapshot(spot=101.5, trading_state="SAFE"), False)
        (row,) = self.rows(sink, "snapshot")
        assert (row["spot"], row["trading_state"]) == (101.5, "SAFE")

    def test_only_a_snapshot_for_the_history_is_kept_as_a_row_too(self, tmp_path: Path) -> None:
        sink = self.subject(tmp_path)
        if sink.has("write_audit"):
            pytest.skip("its history comes with write_audit")
        for spot, append_history in ((100.0, True), (101.0, False), (102.0, True)):
            sink.call("write_snapshot", make_snapshot(spot=spot), append_history)
        assert [row["spot"] for row in self.rows(sink, "history")] == [100.0, 102.0]

    @pytest.mark.parametrize("missing", sorted(set(make_snapshot()) - ALWAYS))
    def test_a_snapshot_may_lack_a_value(self, tmp_path: Path, missing: str) -> None:
        sink = self.subject(tmp_path)
        sink.call("write_snapshot", make_snapshot(**{missing: None}), False)
        (row,) = self.rows(sink, "snapshot")
        assert row.get(missing) is None

    def test_heartbeat_accounts_and_prices_are_taken_again_and_again(self, tmp_path: Path) -> None:
        sink = self.subject(tmp_path)
        hooks = {"write_heartbeat": HEARTBEAT, "write_accounts": [ACCOUNT], "write_prices": [PRICE]}
        there = {hook: value for hook, value in hooks.items() if sink.has(hook)}
        if not there:
            pytest.skip("it implements none of them")
        for hook, value in [*there.items()] * 2:
            assert sink.call(hook, value) is None

    # --- operations --------------------------------------------------------------------

    def test_operations_are_kept_in_order(self, tmp_path: Path) -> None:
        sink = self.subject(tmp_path)
        for jseq, kind in enumerate(ORDER_OPERATIONS, start=1):
            sink.call("write_operation", make_operation(jseq, type=kind))
        rows = self.rows(sink, "operations")
        assert [row["type"] for row in rows] == list(ORDER_OPERATIONS)

    def test_an_operation_that_comes_twice_is_kept_once_also_by_a_new_process(self, tmp_path: Path) -> None:
        sink = self.subject(tmp_path)
        sink.call("write_operation", make_operation(1))
        sink.call("write_operation", make_operation(1))
        again = self.subject(tmp_path)
        again.call("write_operation", make_operation(1))
        again.call("write_operation", make_operation(2))
        assert self.stored(again) == [("journal-a", 1), ("journal-a", 2)]

    def test_the_numbers_of_another_journal_are_other_operations(self, tmp_path: Path) -> None:
        sink = self.subject(tmp_path)
        sink.call("write_operation", make_operation(1))
        sink.call("write_operation", make_operation(1, journal_id="journal-b"))
        assert self.stored(sink) == [("journal-a", 1), ("journal-b", 1)]

    @pytest.mark.parametrize("missing", sorted(set(make_operation()) - ALWAYS))
    def test_an_operation_may_lack_a_value(self, tmp_path: Path, missing: str) -> None:
        sink = self.subject(tmp_path)
        sink.call("write_operation", make_operation(1, **{missing: None}))
        (row,) = self.rows(sink, "operations")
        assert row.get(missing) is None

    # --- the audit trail ---------------------------------------------------------------

    def test_a_batch_moves_the_cursor_to_its_end(self, tmp_path: Path) -> None:
        sink = self.subject(tmp_path)
        assert sink.call("write_audit", self.batch(1, 3)) == AuditAck(last_jseq=3)
        assert sink.call("write_audit", self.batch(4, 4)) == AuditAck(last_jseq=4)
        assert [jseq for _, jseq in self.stored(sink)] == [1, 2, 3, 4]

    def test_an_empty_batch_only_asks_for_the_cursor(self, tmp_path: Path) -> None:
        sink = self.subject(tmp_path)
        assert sink.call("write_audit", self.batch(1, 0)) == AuditAck(last_jseq=0)
        sink.call("write_audit", self.batch(1, 2))
        assert sink.call("write_audit", self.batch(1, 0)) == AuditAck(last_jseq=2)
        assert [jseq for _, jseq in self.stored(sink)] == [1, 2]

    @pytest.mark.parametrize(("first", "last"), [(1, 3), (2, 5), (5, 6)])
    def test_a_batch_that_does_not_follow_the_cursor_is_answered_by_it_alone(
        self, tmp_path: Path, first: int, last: int
    ) -> None:
        sink = self.subject(tmp_path)
        sink.call("write_audit", self.batch(1, 3))
        assert sink.call("write_audit", self.batch(first, last)) == AuditAck(last_jseq=3)
        assert [jseq for _, jseq in self.stored(sink)] == [1, 2, 3]

    def test_the_cursor_outlives_the_process(self, tmp_path: Path) -> None:
        self.subject(tmp_path).call("write_audit", self.batch(1, 3))
        again = self.subject(tmp_path)
        assert again.call("write_audit", self.batch(1, 0)) == AuditAck(last_jseq=3)

    def test_each_journal_has_a_cursor_of_its_own(self, tmp_path: Path) -> None:
        sink = self.subject(tmp_path)
        sink.call("write_audit", self.batch(1, 3))
        assert sink.call("write_audit", self.batch(1, 0, "journal-b")) == AuditAck(last_jseq=0)

    # --- control -----------------------------------------------------------------------

    def test_the_control_source_answers_with_flags_and_no_command_that_nobody_gave(
        self, tmp_path: Path
    ) -> None:
        answer = self.subject(tmp_path).call("poll_control")
        assert isinstance(answer, ControlState)
        assert answer.command is None or answer.command.name in COMMANDS

    def test_settings_are_none_or_sections_of_keys(self, tmp_path: Path) -> None:
        settings = self.subject(tmp_path).call("load_settings")
        assert settings is None or all(isinstance(section, Mapping) for section in settings.values())

    # --- threads -----------------------------------------------------------------------

    def test_it_is_made_in_one_thread_and_written_to_in_another(self, tmp_path: Path) -> None:
        sink = self.subject(tmp_path)
        writes = {
            "write_snapshot": (make_snapshot(), False),
            "write_operation": (make_operation(),),
            "write_audit": (self.batch(1, 1),),
            "poll_control": (),
        }
        with ThreadPoolExecutor(1) as thread:
            for hook, arguments in writes.items():
                if sink.has(hook):
                    thread.submit(sink.call, hook, *arguments).result()
