"""The auditor's queries, on a day of the engine's that came through the drain."""

from __future__ import annotations

import re
import subprocess
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from shutil import which

import pytest
from bifrost_pg import drain, migrations
from bifrost_pg.connection import open_connection
from psycopg.rows import dict_row

from bifrost_engine.testing.audit import batches, eventful_records
from bifrost_engine.testing.engine import STOCK

FILE = Path(__file__).parents[3] / "docs" / "audit_queries.sql"
VALUES = {
    "journal": "journal-a",
    "order": "BF-test-gamma-1",
    "day": "2025-03-03",
    "zone": "America/New_York",
    "owner": "gamma",
    "instrument": STOCK.key,
    "at": "2025-03-03T14:30:01Z",
    "number": "40",
}


@pytest.fixture(scope="module")
def conn(server_uri):
    with open_connection(server_uri) as first:
        first.execute("DROP DATABASE IF EXISTS queries")
        first.execute("CREATE DATABASE queries")
    with open_connection(server_uri.replace("/postgres?", "/queries?")) as conn:
        migrations.refresh(conn)
        for batch in batches(eventful_records(), size=25):
            drain.write_audit(conn, batch)
        yield conn


def queries():
    parts = re.split(r"^-- (Q\d+) ", FILE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.fixture
def ask(conn):
    def answer(name, **values):
        text = "\n".join(line for line in queries()[name].splitlines()[1:] if not line.startswith("--"))
        text = re.sub(r":'(\w+)'", r"%(\1)s", text.replace("%", "%%"))
        with conn.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(text, VALUES | values).fetchall()

    return answer


def column(rows, name):
    return [row[name] for row in rows]


def test_the_questions_are_all_there():
    assert list(queries()) == [f"Q{n}" for n in range(1, 14)]


def test_q1_tells_an_orders_chain_with_every_gate(ask):
    rows = ask("Q1")
    steps = column(rows, "step")
    assert [step for step, before in zip(steps, ["", *steps], strict=False) if step != before] == [
        "signal",
        "risk",
        "gate",
        "decision",
        "event",
        "fill",
        "event",
        "fill",
        "event",
        "fill",
    ]
    assert column(rows, "jseq") == sorted(column(rows, "jseq"))
    gates = {row["what"]["gate"]: row["what"] for row in rows if row["step"] == "gate"}
    assert gates["kill_switch"]["verdict"] == "passed"
    assert gates["max_order_size"]["limit"] == 500
    assert [row["what"]["quantity"] for row in rows if row["step"] == "fill"] == [142, 10, 10]


def test_q2_tells_what_was_blocked_and_what_it_would_have_been(ask):
    (row, *_) = [row for row in ask("Q2") if row["first_gate"] == "cooldown"]
    assert row["gates"].startswith("cooldown ")
    assert (row["inst_id"], row["side"], row["purpose"]) == (STOCK.key, "SELL", "hedge")
    assert row["quantity"] > 0
    assert ask("Q2", day="2025-03-04") == []


def test_q3_finds_no_order_of_ours_without_its_chain(ask):
    assert [row for row in ask("Q3") if row["origin"] in ("STRATEGY", "OPERATOR")] == []


def test_q4_adds_fills_up_to_the_position_then_and_now(ask):
    (now,) = ask("Q4", at="2025-03-04")
    held = -(142 + 10 + 435) + 2  # two were claimed
    assert now["quantity_then"] == now["quantity_now"] == now["stored"] == held
    assert now["equal"]
    (before,) = ask("Q4", at="2025-03-03T14:00:00Z")
    assert before["quantity_then"] == 0
    (outside,) = ask("Q4", owner="EXTERNAL")
    assert (outside["quantity_now"], outside["equal"]) == (7 - 2, True)


def test_q5_folds_fills_into_the_days_results_that_the_snapshots_have(ask):
    rows = {row["owner"]: row for row in ask("Q5")}
    assert rows["gamma"]["commission"] == Decimal("3.25")  # 1.25 put right, 1 and 1
    # 587 sold for 61,907.32; the two claimed at 107 close as many: 2 × 61,907.32 / 587 − 214
    assert rows["gamma"]["realized"] == Decimal("-3.0721635434")
    assert rows["gamma"]["equal"]
    assert rows["EXTERNAL"]["equal"]


def test_q5_counts_what_a_closing_and_a_turning_fill_earn(conn, ask):
    values = (
        "'journal-a', 'A', %s, 1, %s, 'other', 'X|STK|||', %s, %s, %s, 1, 'USD', 1, 'TRADE', 'LIVE',"
        " now(), now(), '2025-03-03'"
    )
    with conn.transaction(force_rollback=True):
        for n, (side, quantity, price) in enumerate(
            [("BUY", 3, "10"), ("SELL", 1, "13"), ("SELL", 4, "12"), ("BUY", 2, "11")]
        ):
            conn.execute(
                "INSERT INTO fills (journal_id, account, exec_base_id, exec_rev, jseq, owner, inst_id, side,"
                " qty, price, multiplier, currency, commission, kind, source, exec_ts, booked_at,"
                " trading_day)"
                f" VALUES ({values})",
                (f"e{n}", 900 + n, side, quantity, price),
            )
        (row,) = [row for row in ask("Q5") if row["owner"] == "other"]
    # +3 on the first, 2 × +2 on the second and third, 2 short at 12 bought back at 11
    assert (row["realized"], row["commission"], row["net"]) == (9, 4, 5)
    assert row["equal"] is None  # there is no snapshot


def test_q6_tells_how_long_an_order_was_unknown_and_what_ended_it(ask):
    (row,) = ask("Q6")
    assert (row["client_order_id"], row["why"]) == ("BF-test-gamma-3", "LINK_DOWN")
    assert row["lasted"] == timedelta(seconds=30)
    assert (row["ended_by"], row["source"], row["to_state"]) == ("FILL_FULL", "RECON", "FILLED")


def test_q7_tells_slippage_and_latencies(ask):
    rows = ask("Q7")
    assert column(rows, "exec_base_id") == ["x0", "x1", "x2"]
    assert column(rows, "slippage") == [
        Decimal("-0.01"),
        Decimal("-0.02"),
        Decimal("-0.02"),
    ]  # sold above the mid
    assert rows[0]["cost"] == Decimal("-1.42")
    assert rows[0]["submit_p50_p95"] == [timedelta(0), timedelta(0)]


def test_q8_counts_refusals_by_reason_and_in_a_row(ask):
    (row,) = ask("Q8")
    assert (row["status"], row["reason_code"], row["orders"], row["most_in_a_row"]) == (
        "REJECTED",
        "201",
        1,
        1,
    )
    assert row["percent"] == 25  # of four that ended


def test_q9_lists_what_operators_did(ask):
    rows = ask("Q9")
    actions = column(rows, "action")
    assert [a for a in actions if a in ("suspend", "resume", "flatten")] == ["suspend", "resume", "flatten"]
    assert ("finding", "acknowledged by test") in [(row["what"], row["action"]) for row in rows]
    assert ("order", "CANCEL_REQ") in [(row["what"], row["action"]) for row in rows]


def test_q10_lists_odd_fills_with_their_evidence(ask):
    rows = ask("Q10")
    # Two holdings of unknown cost, each again at its first mark.
    assert column(rows, "kind") == [*["ADJUST"] * 4, "CORRECTION", "ADJUST"]
    assert all(row["price_before"] == 0 < row["price"] for row in rows[2:4])
    correction = rows[4]
    assert (correction["price_before"], correction["price"]) == (Decimal("101.03"), Decimal("101.02"))
    assert correction["event"] == "FILL_FULL"


def test_q11_tells_the_settings_behind_an_order(ask):
    (row,) = ask("Q11")
    assert row["mode"] == "PAPER"
    assert row["config_json"]["symbol"] == "NVDA"
    assert row["config_hash"]


def test_q12_tells_what_the_database_proves_of_the_journal(ask):
    (row,) = ask("Q12")
    assert (row["has_it"], row["gap_before"], row["proven_by"]) == (True, 0, 50)  # batches of 25
    assert row["cursor_fits_its_log"]
    assert row["nothing_beyond"]
    assert not ask("Q12", number="100000")[0]["has_it"]


def test_q13_tells_every_comparison_and_what_is_open(conn, ask):
    rows = ask("Q13")
    assert column(rows, "trigger")[0] == "STARTUP"
    assert column(rows, "open_items")[-1] == 0
    with conn.transaction(force_rollback=True):
        conn.execute("UPDATE reconciliation_item SET status = 'OPEN'")
        opened = ask("Q13")
        assert column(opened, "open_items") == column(opened, "items")
        assert sum(column(opened, "items")) == 4


def test_psql_takes_the_file_as_it_is(conn):
    if which("psql") is None:
        pytest.skip("needs psql")
    options = [f"--set={name}={value}" for name, value in VALUES.items() if name != "journal"]
    info = conn.info
    address = ["-h", info.host, "-p", str(info.port), "-U", info.user, "-d", info.dbname]
    ran = subprocess.run(
        ["psql", *address, *options, "--set=ON_ERROR_STOP=1", "-f", str(FILE)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.count("row") >= 13
