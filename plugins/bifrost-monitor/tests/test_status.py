"""What /status says of rows as the daemon writes them."""

from __future__ import annotations

import time

import pytest
from bifrost_pg import rows
from bifrost_pg.control import write_flags
from monitor_rows import ACCOUNT, CALL, NVDA, PUT, heartbeat, snapshot
from patience import wait_for

NS = 1_000_000_000


def state(client):
    client.look()
    reply = client.get("/status")
    assert reply.status == 200
    return reply.json


def test_a_database_without_a_daemon_is_red_and_says_so(client):
    found = state(client)
    assert (found["status"], found["strategies"], found["status_lamp"]) == (None, [], "red")
    assert found["self_check"] == "blocked"
    assert found["block_reasons"] == ["no_status: no daemon has written its state to this database"]
    assert found["daemon_heartbeat"]["alive"] is False


def test_a_daemon_at_work_is_green(desk, client):
    found = state(client)
    assert (found["status_lamp"], found["daemon_lamp"], found["self_check"]) == ("green", "green", "ok")
    assert found["block_reasons"] == []
    assert found["status"] == found["strategies"][0]
    assert found["status"]["detail"]["dimensions"]["D"] == "D1 MINOR"
    assert found["status"]["mode"] == "PAPER"
    used = {limit["name"]: (limit["used"], limit["allowed"]) for limit in found["status"]["limits"]}
    assert used["Hedges today"] == (14, 50)
    assert used["Day loss"] == (0, 5000)
    beat = found["daemon_heartbeat"]
    assert beat["alive"]
    assert beat["hedge_running"]
    assert beat["ib_connected"]
    assert 0 <= beat["age_s"] < 10


@pytest.mark.parametrize(
    ("beat", "reason"),
    [
        ({"last_ts_ns": time.time_ns() - 60 * NS}, "vanished"),
        ({"graceful_shutdown_ns": time.time_ns()}, "stopped"),
    ],
)
def test_stopped_is_told_apart_from_vanished(desk, client, beat, reason):
    rows.write_heartbeat(desk, heartbeat(**beat))
    found = state(client)
    assert found["status_lamp"] == "red"
    assert found["block_reasons"][0].startswith(f"{reason}: ")
    assert "pid 4121 on desk-a" in found["block_reasons"][0]


def test_a_broker_that_is_away_as_planned_is_yellow_with_that_for_its_first_reason(desk, client):
    rows.write_heartbeat(desk, heartbeat(daemon_state="WAITING_IB", broker_connected=False))
    away = {"daemon_state": "WAITING_IB", "trading_state": "SAFE", "safe_cause": "broker_down"}
    rows.write_snapshot(desk, 1, snapshot(**away, maintenance_until=time.time() + 900), False)
    found = state(client)
    assert (found["status_lamp"], found["causes"][0]["title"]) == ("yellow", "Broker's maintenance")
    assert found["block_reasons"][0].startswith(
        "WAITING_IB: the broker is away for its maintenance, as planned"
    )
    rows.write_snapshot(desk, 1, snapshot(**away, maintenance_until=None), False)
    assert state(client)["causes"][0]["title"] == "Waiting for broker"


def test_flags_and_a_strategys_own_state_give_their_causes(desk, client):
    write_flags(desk, {"suspended": True, "killed": True})
    rows.write_snapshot(desk, 1, snapshot(trading_state="SAFE", safe_cause="data_stale"), False)
    found = state(client)
    assert found["trading_suspended"]
    assert found["killed"]
    assert [cause["code"] for cause in found["causes"]] == ["killed", "suspended", "SAFE"]


def test_a_standby_has_a_row_of_its_own_and_alone_is_yellow(desk, client):
    rows.write_heartbeat(desk, heartbeat(graceful_shutdown_ns=time.time_ns()))
    desk.execute(
        "INSERT INTO daemon_heartbeat (id, last_ts, hedge_running, hostname, pid, role)"
        " VALUES (2, now(), false, 'desk-b', 887, 'standby')"
    )
    found = state(client)
    assert found["status_lamp"] == "yellow"
    assert [(beat["hostname"], beat["role"]) for beat in found["daemons"]] == [
        ("desk-a", "active"),
        ("desk-b", "standby"),
    ]


def test_accounts_are_put_together_with_prices_results_and_moneyness(desk, client):
    rows.write_accounts(desk, [ACCOUNT])
    prices = [(CALL, 8.8, 9.0), (PUT, 5.3, 5.5), (NVDA, 125.9, 126.1)]
    rows.write_prices(
        desk,
        [{"contract_key": key, "bid": bid, "ask": ask, "updated_ns": NS} for key, bid, ask in prices],
    )
    found = state(client)
    (account,) = found["accounts"]
    assert account["summary"]["net_liquidation"] == 250411.7
    assert account["fetched_at"] == found["accounts_fetched_at"] > time.time() - 60
    call, put, stock = account["positions"]
    assert (call["price"], call["value"]) == (8.9, 4450.0)  # 5 · 8.90 · 100
    assert call["unrealized_pnl"] == pytest.approx(388.0)  # 4450 − 5 · 812.40
    assert (call["moneyness"], put["moneyness"]) == (pytest.approx(5.0), pytest.approx(-5.0))
    assert call["days_to_expiry"] == 25  # from the day of the strategy's time, 3 March
    assert put["unrealized_pnl"] is None  # its cost isn't known
    assert stock["unrealized_pnl"] == pytest.approx(-405.0)  # −81 · (126 − 121)
    assert account["unrealized_pnl"] is None


def test_a_position_without_a_price_has_no_value(desk, client):
    rows.write_accounts(desk, [ACCOUNT])
    found = state(client)
    assert {position["value"] for position in found["accounts"][0]["positions"]} == {None}


def test_numbers_that_are_not_finite_become_null(desk, client):
    desk.execute("UPDATE status_current SET spot = 'NaN', net_delta = 'Infinity'")
    found = state(client)
    assert (found["status"]["spot"], found["status"]["net_delta"]) == (None, None)


def test_a_database_that_is_away_is_red_with_the_reason_and_back_by_itself(serve, shut):
    client = serve()
    assert client.get("/readyz").status == 200
    with shut():
        found = wait_for(lambda: (got := state(client))["causes"][0]["code"] == "database" and got)
        assert (found["status_lamp"], found["self_check"], found["status"]) == ("red", "blocked", None)
        assert "not currently accepting connections" in found["block_reasons"][0]
        refused = client.get("/operations")
        assert refused.status == 503
        assert "not currently accepting connections" in refused.json["error"]
        assert client.get("/readyz").status == 503
        assert client.get("/healthz").status == 200
        page = client.get("/")
        assert page.status == 200
        assert "Database away" in page.text
        assert client.command("kill").status == 503
    wait_for(lambda: client.get("/readyz").status == 200, "for the database")
    assert client.command("kill").status == 202
