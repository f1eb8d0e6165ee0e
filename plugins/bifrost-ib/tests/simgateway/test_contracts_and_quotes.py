"""Contracts, chains, quotes, accounts: what a client is told when it asks."""

from __future__ import annotations

from decimal import Decimal

import pytest
from bifrost_ib.simgateway.greeks import greeks
from bifrost_ib.simgateway.universe import expiries, strikes_around

NVDA = {"symbol": "NVDA", "secType": "STK", "exchange": "SMART", "currency": "USD"}
QUOTED = {"contract": "NVDA", "bid": 130.0, "ask": 130.02}


async def errors_of(client, name, **values):
    client.ask(name, reqId=9, **values)
    return (await client.until("error", lambda error: error["id"] == 9))["code"]


def test_a_stock_has_one_description_with_its_price_rule_and_hours(play, manual_clock):
    async def act(stage):
        client = await stage.client()
        client.ask("reqContractDetails", reqId=1, **NVDA)
        await client.until("contractDetailsEnd")
        (details,) = client.heard("contractDetails")
        assert (details["symbol"], details["currency"], details["stockType"]) == ("NVDA", "USD", "COMMON")
        assert details["liquidHours"].startswith("20250221:0930-20250221:1600;20250222:CLOSED")
        client.ask("reqMarketRule", marketRuleId=int(details["marketRuleIds"].split(",")[0]))
        assert (await client.until("marketRule"))["increments"] == [
            {"lowEdge": 0, "increment": Decimal("0.01")}
        ]

    play(act, clock=manual_clock)


def test_options_are_found_one_by_one_or_many_at_once_and_unknown_ones_draw_200(play, manual_clock):
    async def act(stage):
        client = await stage.client()
        client.ask("reqSecDefOptParams", reqId=1, symbol="NVDA", secType="STK", conId=1)
        await client.until("optionParamsEnd")
        smart = client.heard("optionParams")[0]
        expiry = smart["expiries"][0]["value"]
        strike = smart["strikes"][20]["value"]
        wanted = {**NVDA, "secType": "OPT", "expiry": expiry, "strike": strike, "right": "C"}
        client.ask("reqContractDetails", reqId=2, **wanted)
        await client.until("contractDetailsEnd")
        (call,) = client.heard("contractDetails")
        assert call["localSymbol"] == f"NVDA  {expiry[2:]}C{int(Decimal(strike) * 1000):08d}"
        client.said.clear()
        client.ask("reqContractDetails", reqId=3, **{**wanted, "right": "", "strike": 0})
        await client.until("contractDetailsEnd")
        assert len(client.heard("contractDetails")) == 2 * len(smart["strikes"])
        for odd in ({"symbol": "NOPE"}, {"strike": "1234.5"}, {"currency": "EUR"}, {"conId": 5}):
            assert await errors_of(client, "reqContractDetails", **{**wanted, **odd}) == 200

    play(act, clock=manual_clock)


def test_expiries_are_the_next_fridays_and_third_fridays_after_them():
    from datetime import date

    days = expiries(date(2025, 2, 21))
    assert days[:2] == [date(2025, 2, 21), date(2025, 2, 28)]
    assert days[-3:] == [date(2025, 6, 20), date(2025, 7, 18), date(2025, 8, 15)]
    assert list(strikes_around(Decimal(130)))[20] == Decimal(130)


def test_a_stock_line_tells_type_steps_prices_and_then_only_what_changes(play, manual_clock):
    async def act(stage):
        await stage.gateway.do("price", **QUOTED)
        client = await stage.client()
        client.said.clear()
        client.ask("reqMktData", reqId=4, **NVDA)
        await client.until("tickPrice", lambda tick: tick["type"] == 4)
        assert client.names() == [
            "marketDataType", "tickReqParams", "tickPrice", "tickSize", "tickPrice", "tickSize", "tickPrice",
        ]  # fmt: skip
        client.said.clear()
        await stage.gateway.do("price", contract="NVDA", bid=129.98, ask=130.02)
        await client.until("tickPrice", lambda tick: tick["type"] == 4)
        assert [tick["type"] for tick in client.heard("tickPrice")] == [1, 4]
        await stage.gateway.do("price", contract="NVDA", bid=129.98)
        gone = await client.until("tickPrice", lambda tick: tick["type"] == 2)
        assert (gone["price"], gone["size"]) == (-1, 0)

    play(act, clock=manual_clock)


def test_an_option_line_brings_greeks_once_the_option_is_quoted(play, manual_clock):
    async def act(stage):
        options = [one for one in stage.gateway.universe.by_key.values() if one.is_option]
        option = next(one for one in options if one.contract.strike == 80 and one.contract.expiry.month == 8)
        await stage.gateway.do("price", contract=option.key, bid=27.1, ask=27.3)
        client = await stage.client()
        client.ask("reqMktData", reqId=4, conId=option.con_id)
        model = await client.until("tickOptionComputation", lambda tick: tick["type"] == 13)
        assert (
            model["optPrice"] == pytest.approx(Decimal("27.2"), abs=Decimal("0.01")) or model["delta"] == -2
        )
        assert client.heard("tickPrice")[0]["type"] == 1

    play(act, {"market": {"symbols": {"NVDA": 100}}}, clock=manual_clock)


def test_greeks_give_back_the_price_and_obey_put_call_parity():
    call = greeks(5.0, 100.0, 100.0, 1, 0.25)
    assert call.price == pytest.approx(5.0, abs=1e-6)
    put = greeks(5.0 - 100.0 + 100.0 * 2.718281828 ** (-0.05 * 0.25), 100.0, 100.0, -1, 0.25)
    assert put.volatility == pytest.approx(call.volatility, abs=1e-4)
    assert call.delta - put.delta == pytest.approx(1.0, abs=1e-4)
    assert greeks(50.0, 100.0, 100.0, 1, 0.001) is None
    assert greeks(5.0, 100.0, 100.0, 1, -1.0) is None


def test_without_a_subscription_there_is_354_or_delayed_data_for_who_takes_it(play, manual_clock):
    async def act(stage):
        client = await stage.client()
        assert await errors_of(client, "reqMktData", **NVDA) == 354
        client.ask("reqMarketDataType", type=3)
        assert await errors_of(client, "reqMktData", **NVDA) == 10167
        assert (await client.until("marketDataType"))["type"] == 3
        assert (await client.until("tickPrice"))["type"] == 66

    play(act, {"market": {"not_subscribed": ["NVDA"]}}, clock=manual_clock)


def test_a_line_that_is_not_there_cannot_be_cancelled_nor_an_unknown_one_opened(play, manual_clock):
    async def act(stage):
        client = await stage.client()
        assert await errors_of(client, "cancelMktData") == 300
        assert await errors_of(client, "reqMktData", **{**NVDA, "symbol": "NOPE"}) == 200

    play(act, clock=manual_clock)


def test_a_snapshot_is_told_once(play, manual_clock):
    async def act(stage):
        client = await stage.client()
        client.ask("reqMktData", reqId=1, snapshot=True, **NVDA)
        await client.until("tickSnapshotEnd")
        client.ask("cancelMktData", reqId=1)
        assert (await client.until("error"))["code"] == 300

    play(act, clock=manual_clock)


HELD = {"account": {"cash": 10_000, "positions": {"NVDA": {"quantity": -10, "average_cost": 150}}}}


def test_account_values_come_in_every_form_and_agree(play, manual_clock):
    async def act(stage):
        await stage.gateway.do("price", **QUOTED)
        client = await stage.client()
        client.ask("reqAccountSummary", reqId=1, group="All", tags="NetLiquidation,TotalCashValue")
        await client.until("accountSummaryEnd")
        summary = {row["tag"]: row["value"] for row in client.heard("accountSummary")}
        assert summary == {"NetLiquidation": "8699.90", "TotalCashValue": "10000.00"}  # 10000 - 10 * 130.01
        client.ask("reqAccountUpdates", subscribe=True, account="DU1234567")
        await client.until("accountDownloadEnd")
        (held,) = client.heard("portfolioValue")
        assert (held["position"], held["unrealizedPNL"]) == (-10, Decimal("199.90"))  # 10 * (150 - 130.01)
        client.ask("reqAccountUpdatesMulti", reqId=2, account="DU1234567")
        await client.until("accountUpdateMultiEnd")
        multi = {row["key"]: row["value"] for row in client.heard("accountUpdateMulti")}
        assert multi["NetLiquidation"] == summary["NetLiquidation"]
        client.ask("reqPnL", reqId=3, account="DU1234567")
        assert (await client.until("pnl"))["unrealized"] == Decimal("199.90")
        client.ask("reqPnLSingle", reqId=4, account="DU1234567", conId=held["conId"])
        assert (await client.until("pnlSingle"))["value"] == Decimal("-1300.1")

    play(act, HELD, clock=manual_clock)


def test_fills_are_pushed_to_whoever_watches_the_account(play, manual_clock):
    async def act(stage):
        await stage.gateway.do("price", **QUOTED)
        watcher, trader = await stage.client(1), await stage.client(2)
        watcher.ask("reqAccountUpdates", subscribe=True, account="DU1234567")
        watcher.ask("reqPositions")
        watcher.ask("reqPnL", reqId=3, account="DU1234567")
        await watcher.until("pnl")
        watcher.said.clear()
        trader.place(1, totalQuantity=10)
        result = await watcher.until("pnl")
        assert result["realized"] == Decimal("198.8")  # 10 * (150 - 130.02) - 1.00
        assert watcher.heard("position")[0]["position"] == 0
        assert watcher.heard("portfolioValue")[0]["position"] == 0
        assert "execDetails" not in watcher.names()  # executions are the trader's own

    play(act, HELD, clock=manual_clock)


def test_a_third_summary_and_a_foreign_account_are_refused(play, manual_clock):
    async def act(stage):
        client = await stage.client()
        for req_id in (1, 2):
            client.ask("reqAccountSummary", reqId=req_id, group="All", tags="NetLiquidation")
        assert await errors_of(client, "reqAccountSummary", group="All", tags="NetLiquidation") == 322
        assert await errors_of(client, "reqPnL", account="DU9") == 321

    play(act, clock=manual_clock)


def test_bars_end_at_the_present_price_and_come_oldest_first(play, manual_clock):
    async def act(stage):
        await stage.gateway.do("price", **QUOTED)
        client = await stage.client()
        asked = {"barSize": "1 hour", "duration": "1 D", "whatToShow": "TRADES", "formatDate": 1}
        client.ask("reqHistoricalData", reqId=1, **NVDA, **asked)
        bars = (await client.until("historicalData"))["bars"]
        assert [bar["date"] for bar in bars] == sorted(bar["date"] for bar in bars)
        assert (len(bars), bars[-1]["close"]) == (6, Decimal("130.01"))
        assert (
            await errors_of(client, "reqHistoricalData", **NVDA, **{**asked, "barSize": "1 fortnight"}) == 162
        )

    play(act, clock=manual_clock)


def test_recorded_quotes_can_be_the_market(play, tmp_path):
    rows = ["ts_ms,contract_key,bid,ask,bid_size,ask_size"]
    rows += [
        "1740150000000,NVDA|STK|||,77.0,77.1,100,100",
        "1740150000100,NVDA|OPT|20250321|80|C,1.0,1.1,5,5",
    ]
    recording = tmp_path / "day.csv"
    recording.write_text("\n".join(rows) + "\n")

    async def act(stage):
        client = await stage.client()
        client.ask("reqMktData", reqId=1, **NVDA)
        assert (await client.until("tickPrice"))["price"] == 77
        client.place(
            1, **{**NVDA, "secType": "OPT", "expiry": "20250321", "strike": 80, "right": "C"}, totalQuantity=2
        )
        assert (await client.until("execDetails"))["price"] == Decimal("1.1")

    play(act, feed=f"replay:{recording}")
