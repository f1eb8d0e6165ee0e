"""``status``, ``ops`` and ``explain`` over the journal of a rehearsal of twenty minutes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def look(bifrost, rehearsal: Path):
    return lambda *arguments: bifrost(*arguments, "--config", str(rehearsal / "bifrost.yaml"))


def test_status_says_what_it_knows_and_where_from(look):
    answer = look("status")
    assert answer.code == 0
    assert "as of 2025-03-03 09:49:5" in answer.out
    assert "stopped in good order" in answer.out
    assert "journal-DPAPER.db" in answer.out
    assert "not from a database: no sink that can be read is configured" in answer.out


def test_status_as_json_has_the_books_as_they_are(look):
    shown = json.loads(look("status", "--json").out)
    fills = json.loads(look("ops", "--type", "fill", "--json").out)
    signs = {"BUY": 1, "SELL": -1}
    (row,) = shown["strategies"]
    assert row["stock_position"] == sum(signs[fill["side"]] * fill["quantity"] for fill in fills) != 0
    assert row["daily_hedge_count"] == len(fills)
    assert row["daemon_state"] == "STOPPED"
    assert shown["daemon"]["alive"] is False


def test_status_has_the_accounts_worth_and_the_days_result_of_all_books(look):
    account = json.loads(look("status", "--json").out)["account"]
    assert account["net_liquidation"] == pytest.approx(account["total_cash"], rel=0.05)
    assert account["day_pnl"] is not None
    worth, day = (line for line in look("status").out.splitlines() if line.startswith("account"))
    assert f"net liquidation {account['net_liquidation']:,.2f}" in worth
    assert f"P&L of all books {account['day_pnl']:+,.2f} USD" in day
    assert all(" USD as of 2025-03-03 " in line for line in (worth, day))


def test_status_names_each_option_that_is_left_out_and_why(bifrost, tmp_path: Path):
    file = tmp_path / "far.yaml"
    file.write_text(
        f"symbol: NVDA\nbroker: paper\nsim: {{seed: 7}}\ndaemon: {{state_dir: {tmp_path / 'far'}}}\n"
        "paper: {positions: {NVDA|OPT|20250328|590|P: 10}}\n"
    )
    run = ("run", "--speed", "max", "--until", "2025-03-03T09:31", "--config", str(file))
    assert bifrost(*run).code == 0
    assert "left out       NVDA|OPT|20250328|590|P: strike" in bifrost("status", "--config", str(file)).out


def test_explain_says_in_which_units_greeks_are(look):
    order = json.loads(look("explain", "--json").out)[0]["client_order_id"]
    told = json.loads(look("explain", order, "--json").out)
    theta = float(told["decided"]["signal"]["signal_json"]["facts"]["theta"])
    text = look("explain", order).out
    assert f"theta {theta / 365:,.2f} USD/day" in text
    assert "USD per point of volatility" in text


def test_ops_are_newest_first_and_in_the_exchanges_time(look):
    answer = look("ops", "--limit", "3")
    lines = answer.out.splitlines()
    assert len(lines) == 4
    assert lines[1].split()[:3] == ["2025-03-03", "09:49:59", "stopped"]
    assert lines[2].split()[2] == "stop"
    assert answer.err.startswith("from journal ")


def test_ops_can_be_narrowed_by_type_and_time(look):
    rows = json.loads(
        look("ops", "--type", "order_sent", "--since", "09:35", "--until", "09:45", "--json").out
    )
    every = json.loads(look("ops", "--type", "order_sent", "--json").out)
    # 09:35 and 09:45 in New York are 14:35 and 14:45 UTC.
    assert rows == [row for row in every if 1_741_012_500 <= row["ts"] <= 1_741_013_100]
    assert 0 < len(rows) < len(every)


def test_explain_lists_the_last_orders(look):
    answer = look("explain", "--limit", "2")
    head, *lines = answer.out.splitlines()
    assert head.split() == ["time", "order", "side", "quantity", "filled", "at", "state", "because"]
    assert len(lines) == 2
    assert all("BF-p007-gamma-" in line and "FILLED" in line for line in lines)


def test_an_orders_chain_runs_from_the_market_to_the_fill(look):
    answer = look("explain", "BF-p007-gamma-1")
    assert answer.code == 0
    places = [
        answer.out.index(part)
        for part in (
            "BF-p007-gamma-1: SELL ",
            "What was seen",
            "119.7 × 120.28",
            "D2 HEDGE_NEEDED",
            "What was wanted: SELL",
            "What the gates said: ALLOW",
            "kill_switch",
            "order_rate",
            "What followed: an order: SELL",
            "NEW → SUBMITTED",
            "booked SELL",
        )
    ]
    assert places == sorted(places)


def test_an_order_may_be_named_by_its_end(look):
    assert look("explain", "1").out == look("explain", "BF-p007-gamma-1").out


def test_an_unknown_order_says_which_there_are(look):
    answer = look("explain", "BF-nothing")
    assert answer.code == 1
    assert "no order 'BF-nothing'" in answer.err
    assert "the last is BF-p007-gamma-" in answer.err


def test_a_time_without_an_order_is_explained_by_its_reasons(look):
    answer = look("explain", "09:30:10")
    assert answer.code == 0
    assert "Why nothing was proposed" in answer.out
    assert "L2 EXTREME_WIDE spread" in answer.out
    assert answer.out == look("explain", "2025-03-03T14:30:10Z").out


def test_a_time_before_everything_is_told_so(look):
    answer = look("explain", "2020-01-02T10:00")
    assert answer.code == 1
    assert "nothing was decided by 2020-01-02T10:00" in answer.err


def test_the_longest_quiet_counts_its_reasons(look):
    answer = look("explain", "--longest-quiet")
    assert "without an order, 2025-03-03 09:" in answer.out
    assert "D0 IN_BAND" in answer.out
    quiet = json.loads(look("explain", "--longest-quiet", "--json").out)
    assert quiet["codes"]["D0 IN_BAND"] <= quiet["decisions"]
    assert quiet["start_ns"] < quiet["end_ns"]


@pytest.mark.parametrize("arguments", [["status"], ["ops"], ["explain"], ["explain", "10:31"]])
def test_without_a_journal_the_next_step_is_named(bifrost, tmp_path: Path, arguments: list[str]):
    (tmp_path / "bifrost.yaml").write_text("symbol: NVDA\nbroker: paper\n")
    answer = bifrost(*arguments)
    assert answer.code == 1
    assert answer.err.endswith("state/default: no journal yet; 'bifrost run' writes one\n")
