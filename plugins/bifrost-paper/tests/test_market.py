"""The simulated market: its hours, prices, spreads, halts and options; the same for each seed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tracemalloc
from collections import deque
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import islice, pairwise
from math import isnan, log, sqrt
from pathlib import Path
from statistics import mean, median, stdev
from zoneinfo import ZoneInfo

import pytest
from bifrost_paper.config import SimConfig
from bifrost_paper.market import SimFeed
from bifrost_paper.sessions import sessions
from bifrost_paper.surface import SimOption, Surface
from exchange_calendars import get_calendar
from hypothesis import given, settings
from hypothesis import strategies as st

from bifrost_engine.domain import Contract, Quote, Right, quote_fault
from bifrost_engine.testing import FeedConformance, make_context

NEW_YORK = ZoneInfo("America/New_York")
SPY, TWX = Contract.stock("SPY"), Contract.stock("TWX")
CALL = Contract.option("SPY", date(2025, 3, 28), Decimal(100), Right.CALL)
PUT = Contract.option("SPY", date(2025, 3, 28), Decimal(100), Right.PUT)
SECOND = 1_000_000_000
CALM = {"halts_per_day": 0.0, "jumps_per_day": 0.0}


def make_feed(seed: int = 1, **config) -> SimFeed:
    return SimFeed(SimConfig(**config), make_context(Path("/nowhere"), seed=seed))


def market(*contracts: Contract, seed: int = 1, **config) -> list[Quote]:
    return list(make_feed(seed, **config).read_quotes(contracts or (SPY,)))


def local(ts_ns: int) -> datetime:
    return datetime.fromtimestamp(ts_ns / 1e9, NEW_YORK)


def good(quotes: list[Quote], key: str = SPY.key) -> list[Quote]:
    return [q for q in quotes if q.contract_key == key and quote_fault(q, None) is None]


class TestSimFeedConformance(FeedConformance):
    contracts = (Contract.stock("SPY"), CALL)

    def make(self, context):
        return SimFeed(SimConfig(), context)


# --- hours ---------------------------------------------------------------------------------


def test_it_begins_at_the_open_of_a_fixed_monday():
    first = next(make_feed().read_quotes([SPY]))
    assert local(first.ts_ns) == datetime(2025, 3, 3, 9, 30, tzinfo=NEW_YORK)


def test_quotes_fall_into_regular_hours_across_a_change_of_clocks():
    quotes = market(SPY, CALL, start="2025-03-06", days=4, interval_ms=20_000.0)
    assert {local(q.ts_ns).date() for q in quotes} == {date(2025, 3, d) for d in (6, 7, 10, 11)}
    assert all(time(9, 30) <= local(q.ts_ns).time() < time(16) for q in quotes)
    # Summer time began on the 9th: the same local hours are an hour earlier in UTC.
    assert {datetime.fromtimestamp(q.ts_ns / 1e9, UTC).hour for q in quotes} == set(range(13, 21))


def test_holidays_are_left_out_and_half_days_end_early():
    quotes = market(start="2025-07-03", days=2, interval_ms=60_000.0)
    assert {local(q.ts_ns).date() for q in quotes} == {date(2025, 7, 3), date(2025, 7, 7)}
    assert max(local(q.ts_ns).time() for q in quotes if local(q.ts_ns).day == 3) < time(13)


def test_a_start_within_a_session_or_with_a_zone_of_its_own_is_kept():
    assert local(next(make_feed(start="2025-03-03T11:00").read_quotes([SPY])).ts_ns).hour == 11
    assert local(next(make_feed(start="2025-03-03T16:00+00:00").read_quotes([SPY])).ts_ns).hour == 11


def test_what_is_past_is_as_the_library_has_it_and_goes_on_where_it_ends():
    start = int(datetime(2024, 12, 30, tzinfo=UTC).timestamp()) * 1_000_000_000
    calendar = get_calendar("XNYS", start="2024-12-30", end="2027-12-31")
    known = list(zip(calendar.opens_nanos.tolist(), calendar.closes_nanos.tolist(), strict=True))
    assert len(known) > 700
    for found, expected in zip(sessions("XNYS", start), known, strict=False):
        assert found == expected


def test_a_market_of_the_past_begins_without_the_library():
    code = (
        "import sys; from bifrost_paper.sessions import sessions; "
        f"next(sessions('XNYS', {1_741_012_200 * 10**9})); sys.exit('pandas' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sessions_go_on_from_one_decade_to_the_next():
    start = int(datetime(2034, 12, 28, tzinfo=UTC).timestamp()) * 1_000_000_000
    days = [local(opens).date() for opens, _ in islice(sessions("XNYS", start), 1_600)]
    assert days[0] == date(2034, 12, 28)
    assert days == sorted(set(days))
    assert date(2041, 1, 2) < days[-1] < date(2041, 12, 31)


# --- quotes --------------------------------------------------------------------------------


def test_stock_quotes_have_a_spread_sizes_in_lots_and_prices_on_the_tick():
    quotes = market(days=1, **CALM)
    assert 44_000 < len(quotes) < 50_000  # 23,400 seconds, two a second
    for q in quotes:
        assert quote_fault(q, None) is None
        assert q.ask - q.bid > 0.009
        assert round(q.bid, 2) == q.bid
        assert q.bid_size % 100 == 0
        assert q.ts_ns % 1_000_000 == 0
    assert median(q.spread_pct for q in quotes) < 0.03
    assert 200 < mean(q.bid_size for q in quotes) < 600


def test_the_opening_spread_is_wide_and_gone_after_two_minutes():
    quotes = market(days=1, **CALM)
    opening = [q.spread_pct for q in quotes if local(q.ts_ns).time() < time(9, 31)]
    later = [q.spread_pct for q in quotes if time(9, 33) < local(q.ts_ns).time()]
    assert 0.25 < mean(opening) < 0.7
    assert max(later) < 0.1


def test_the_movement_of_a_session_is_that_of_the_volatility():
    # Chop alone, without its pull, is plain: 0.35 × √0.8 per year within sessions.
    config = {"trend": 1.0, "chop": 0.0, "quiet": 0.0, "interval_ms": 10_000.0, "days": 60, **CALM}
    quotes = market(**config)
    moves = [
        log(b.mid / a.mid)
        for a, b in pairwise(quotes)
        if local(a.ts_ns).date() == local(b.ts_ns).date() and local(a.ts_ns).time() > time(9, 33)
    ]
    per_year = stdev(moves) * sqrt(252 * 23_400 / 10)
    assert per_year == pytest.approx(0.35 * sqrt(0.8), rel=0.05)


def test_chop_stays_near_where_it_began():
    # Pulled back by 0.5 % a second a session stays within 0.13 % or so; free it moves 2 %.
    config = {"trend": 0.0, "chop": 1.0, "quiet": 0.0, "regime_minutes": 100_000.0, "interval_ms": 10_000.0}
    for seed in range(5):
        quotes = market(seed=seed, days=1, **config, **CALM)
        assert max(abs(log(q.mid / quotes[0].mid)) for q in quotes) < 0.01


def test_sessions_open_with_a_gap():
    quotes = market(days=40, interval_ms=60_000.0, **CALM)
    gaps = [log(b.mid / a.mid) for a, b in pairwise(quotes) if local(a.ts_ns).date() != local(b.ts_ns).date()]
    assert len(gaps) == 39
    # 0.35 × √(0.2 / 252) = 0.99 %
    assert stdev(gaps) == pytest.approx(0.0099, rel=0.5)


def test_jumps_are_larger_than_any_usual_step():
    def largest(jumps: float) -> float:
        quotes = good(market(days=1, jumps_per_day=jumps, halts_per_day=0.0, jump_pct=2.0))
        return max(abs(log(b.mid / a.mid)) for a, b in pairwise(quotes))

    assert largest(0.0) < 0.005 < largest(30.0)


def test_in_a_halt_a_side_is_missing_then_both_and_it_reopens_minutes_later():
    quotes = market(SPY, CALL, days=5, halts_per_day=4.0, interval_ms=5_000.0)
    stock = [q for q in quotes if q.contract_key == SPY.key]
    bad = [i for i, q in enumerate(stock) if quote_fault(q, None) is not None]
    begins = [i for i in bad if i - 1 not in bad]
    assert 5 <= len(begins) <= 40
    for i in begins:
        assert isnan(stock[i].ask)
        assert not isnan(stock[i].bid)
    empty = [stock[i] for i in bad if i not in begins]
    assert empty
    assert all(isnan(q.bid) and isnan(q.ask) for q in empty)
    assert any(q.contract_key == CALL.key and isnan(q.bid) for q in quotes)
    for i in begins:
        halt = range(stock[i].ts_ns, stock[i].ts_ns + 300 * SECOND)
        assert not [q for q in good(quotes, CALL.key) if q.ts_ns in halt]
    reopened = next(i for i in range(begins[0], len(stock)) if i not in bad)
    assert stock[reopened].ts_ns - stock[begins[0]].ts_ns >= 300 * SECOND
    assert stock[reopened].spread_pct > 0.2


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1_000),
    spot=st.floats(0.05, 5_000),
    volatility=st.floats(0.01, 3.0),
    halts=st.floats(0, 20),
    strike=st.integers(1, 400),
)
def test_whatever_the_settings_time_never_goes_back_and_nothing_is_crossed(
    seed, spot, volatility, halts, strike
):
    put = Contract.option("SPY", date(2025, 3, 7), Decimal(strike), Right.PUT)
    feed = make_feed(seed, spot=spot, volatility=volatility, halts_per_day=halts, interval_ms=30_000.0,
                     option_interval_ms=60_000.0)  # fmt: skip
    quotes = list(islice(feed.read_quotes([SPY, TWX, put]), 3_000))
    times = [q.ts_ns for q in quotes]
    assert times == sorted(times)
    for q in quotes:
        assert quote_fault(q, None) in (None, "nan")
        assert isnan(q.bid) or isnan(q.ask) or 0 < q.bid < q.ask


# --- options -------------------------------------------------------------------------------


def test_the_price_agrees_with_black_scholes_worked_out_by_hand():
    # S 100, K 100, T 0.25, r 0.05, σ 0.2: d1 0.175, d2 0.075, call 4.6150, put 3.3728
    flat = Surface(SimConfig(implied=0.2, skew=0.0, smile=0.0, term=0.0, rate=0.05))
    quarter = int(0.25 * 365 * 86_400) * 1_000_000_000
    assert flat.price(SimOption("C", 100.0, 1, quarter), 100.0, 0) == pytest.approx(4.6150, abs=1e-4)
    assert flat.price(SimOption("P", 100.0, -1, quarter), 100.0, 0) == pytest.approx(3.3728, abs=1e-4)


def test_low_strikes_and_short_expiries_have_more_implied_volatility():
    surface = Surface(SimConfig())
    by_strike = [surface.volatility(SimOption("P", k, -1, 0), 100.0, 0.1) for k in (80.0, 100.0, 110.0)]
    assert by_strike == sorted(by_strike, reverse=True)
    option = SimOption("C", 100.0, 1, 0)
    assert surface.volatility(option, 100.0, 0.02) > surface.volatility(option, 100.0, 0.5)


def test_option_quotes_are_on_their_ticks_around_the_price_and_keep_parity():
    quotes = market(SPY, CALL, PUT, days=1, interval_ms=10_000.0, **CALM)
    for key in (CALL.key, PUT.key):
        own = good(quotes, key)
        assert len(own) == pytest.approx(23_400 / 5, rel=0.02)
        assert all(round(q.bid * 100) % 5 == 0 for q in own if q.bid > 3)
    calls, puts, stock = (good(quotes, key)[-1] for key in (CALL.key, PUT.key, SPY.key))
    # C − P = S − K·e^(−r·T), T = 25 days; within the spreads
    forward = stock.mid - 100 * (1 - 0.05 * 25 / 365)
    assert calls.mid - puts.mid == pytest.approx(forward, abs=0.2)


def test_a_worthless_option_still_has_a_bid_of_a_tick():
    far = Contract.option("SPY", date(2025, 3, 7), Decimal(300), Right.CALL)
    last = good(market(SPY, far, days=1, interval_ms=60_000.0), far.key)[-1]
    assert (last.bid, last.ask) == (0.01, 0.02)


def test_an_option_is_quoted_until_the_close_of_the_last_weekday_up_to_its_expiry():
    saturday = Contract.option("SPY", date(2025, 3, 8), Decimal(100), Right.CALL)
    quotes = market(SPY, saturday, days=7, interval_ms=60_000.0, option_interval_ms=60_000.0)
    last = good(quotes, saturday.key)[-1]
    assert local(last.ts_ns).date() == date(2025, 3, 7)
    assert good(quotes)[-1].ts_ns > last.ts_ns


# --- what is asked for ---------------------------------------------------------------------


def test_another_seed_is_another_market_and_the_configurations_own_comes_first():
    quotes = market(seed=1, days=1, interval_ms=60_000.0)
    assert repr(quotes) != repr(market(seed=2, days=1, interval_ms=60_000.0))
    config = SimConfig(seed=1, days=1, interval_ms=60_000.0)
    feeds = [SimFeed(config, make_context(Path("/nowhere"), seed=seed)) for seed in (2, 3)]
    assert [repr(list(feed.read_quotes([SPY]))) for feed in feeds] == [repr(quotes)] * 2


def test_a_stock_moves_the_same_whatever_else_is_quoted():
    alone = market(SPY, days=1)
    among = [q for q in market(TWX, CALL, SPY, days=1) if q.contract_key == SPY.key]
    assert repr(alone) == repr(among)


def test_symbols_have_prices_of_their_own():
    quotes = market(SPY, TWX, spots={"TWX": 70.0}, days=1, interval_ms=60_000.0)
    assert good(quotes)[0].mid == pytest.approx(100, rel=0.01)
    assert good(quotes, TWX.key)[0].mid == pytest.approx(70, rel=0.01)


def test_an_option_without_its_stock_is_quoted_alone():
    assert {q.contract_key for q in islice(make_feed().read_quotes([CALL]), 1_000)} == {CALL.key}


def test_contracts_that_are_subscribed_to_later_are_quoted_from_then_on():
    feed = make_feed()
    quotes = feed.read_quotes([SPY])
    assert {q.contract_key for q in islice(quotes, 100)} == {SPY.key}
    asyncio.run(feed.subscribe([SPY, CALL, TWX]))  # TWX has no path; it is left out
    assert {q.contract_key for q in islice(quotes, 100)} == {SPY.key, CALL.key}
    asyncio.run(feed.subscribe([CALL]))
    assert {q.contract_key for q in islice(quotes, 1, 100)} == {CALL.key}


def test_a_symbol_that_nobody_wants_any_more_holds_nobody_up():
    feed = make_feed(**CALM)
    quotes = feed.read_quotes([SPY, TWX])
    next(quotes)
    asyncio.run(feed.subscribe([SPY]))
    assert {quote.contract_key for quote in islice(quotes, 1000)} == {SPY.key, TWX.key}


def test_options_alone_end_when_the_last_of_them_has_expired():
    quotes = make_feed(start="2025-03-28T15:59", **CALM).read_quotes([CALL])
    assert {quote.contract_key for quote in quotes} == {CALL.key}


def test_without_contracts_there_is_no_market():
    assert list(make_feed().read_quotes([])) == []


def test_it_goes_on_for_years_in_constant_memory():
    quotes = make_feed(start="2026-03-02", interval_ms=600_000.0).read_quotes([SPY])
    next(quotes)
    tracemalloc.start()
    try:
        (last,) = deque(islice(quotes, 20_000), maxlen=1)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
    assert local(last.ts_ns).year == 2028


@pytest.mark.parametrize(
    "bad", [{"zone": "Mars/Base"}, {"start": "soon"}, {"trend": 0.0, "chop": 0.0, "quiet": 0.0}]
)
def test_settings_that_make_no_market_are_refused(bad):
    with pytest.raises(ValueError, match=r"Mars/Base|soon|weights"):
        SimConfig(**bad)
