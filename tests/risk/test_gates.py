"""Each gate and control at its boundary, who bypasses it, and what a verdict says."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from bifrost_engine.config.schema import AccountLimits
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import Intent, OrderState, OrderType, Origin, Purpose, Quote, Side, TimeInForce
from bifrost_engine.domain.order import BookedExecution, Order
from bifrost_engine.domain.view import LastHedge
from bifrost_engine.risk.chain import CHAIN, CONTROLS, DENIALS, FLATTEN_CHAIN, GATES, Judgement, judge
from bifrost_engine.risk.exposure import Exposure, Holding, Sums
from bifrost_engine.risk.proposal import Proposal, SentOrder
from bifrost_engine.testing.engine import change

NOW = 1_741_012_300 * 1_000_000_000
SECOND = 1_000_000_000
KEY = "NVDA|STK|||"
DAY = date(2025, 3, 3)
RISK = "gates.guard.risk."
HEDGE = "gates.intent.hedge."
EARNINGS = "gates.strategy.earnings."


def a_quote(bid: float = 99.99, ask: float = 100.01, age_ms: float = 0.0) -> Quote:
    return Quote(KEY, bid, ask, 100, 100, NOW - int(age_ms * 1e6))


def an_order(quantity: int = 100, side: Side = Side.BUY, filled: int = 0, key: str = KEY) -> Order:
    executions = {}
    if filled:
        executions["x"] = BookedExecution(revision=1, side=side, quantity=Decimal(filled), price=Decimal(100))
    return Order(
        client_order_id="BF-test-gamma-7",
        strategy_id="gamma",
        run_id="run",
        account="DTEST",
        contract_key=key,
        side=side,
        quantity=Decimal(quantity),
        order_type=OrderType.MARKET,
        limit_price=None,
        time_in_force=TimeInForce.DAY,
        purpose=Purpose.HEDGE,
        origin=Origin.STRATEGY,
        decision_jseq=1,
        state=OrderState.UNKNOWN,
        created_ns=0,
        executions=executions,
    )


def exposure(held: float = 0, buys: float = 0, sells: float = 0, **further: Any) -> Exposure:
    """Return an account with this in the order's contract, at 100 each, and nothing else."""
    one = Holding(held, buys, sells, 100.0)
    return Exposure(**{"one": one, "others": Sums(), "own_one": one, **further})


def a_proposal(**facts: Any) -> Proposal:
    """Return a hedge of 100 shares bought that every gate lets through; ``facts`` change it."""
    config = StrategyConfig(symbol="NVDA")
    for path, value in facts.pop("settings", {}).items():
        config = change(config, path, value)
    intent = Intent(contract_key=KEY, side=Side.BUY, quantity=Decimal(100), net_delta=-100.0)
    intent = evolve(intent, **facts.pop("intent", {}))
    account = evolve(AccountLimits().or_generous, **facts.pop("limits", {}))
    fields: dict[str, Any] = {
        "intent": intent,
        "limit_price": None,
        "quantity": intent.quantity,
        "now_ns": NOW,
        "config": config,
        "account": account,
        "quote": a_quote(),
        "underlying": a_quote(),
        "jump_pct": 0.0,
        "own_position": Decimal(0),
        "working": Decimal(0),
        "in_flight": None,
        "killed": False,
        "breaker_latched": False,
        "suspended": False,
        "in_session": True,
        "trading_day": DAY,
        "day_pnl": 0.0,
        "day_hedges": 0,
        "last_hedge": None,
        "legs_changed": False,
        "exposure": exposure(),
        "unit_value": 100.01,
        "buying_power": None,
        "repeats": 0,
        "crossing": None,
        "account_pnl": 0.0,
        "loss_latched": False,
        "own_orders_last_minute": 0,
        "reconciled": True,
        "paper_account": True,
        "connected": True,
        "stopping": False,
        "halts": (),
        "holds": (),
        "instrument_holds": (),
        "problem": None,
        "recent_orders": (),
        "orders_last_minute": 0,
        "orders_today": 0,
    }
    return Proposal(**{**fields, **facts})


def verdict(judgement: Judgement, gate: str) -> str:
    return next(v.verdict for v in judgement.verdicts if v.gate == gate)


def hedged(price: str | None = "100", ago_s: float = 3600) -> LastHedge:
    return LastHedge(sent_ns=NOW - int(ago_s * SECOND), fill_price=None if price is None else Decimal(price))


def sent(ago_s: float, **fields: Any) -> tuple[SentOrder, ...]:
    return (SentOrder(order=an_order(**fields), sent_ns=NOW - int(ago_s * SECOND)),)


def test_the_chain_is_in_the_documented_order() -> None:
    assert [gate.name for gate in GATES] == [
        "kill_switch",
        "circuit_breaker",
        "suspended",
        "outside_rth",
        "earnings_blackout",
        "cooldown",
        "min_price_move",
        "max_daily_hedge_count",
        "max_spread",
        "max_order_size",
        "max_position",
        "min_hedge_shares",
        "one_in_flight",
        "max_notional",
        "max_orders_per_minute",
        "allowed_instruments",
    ]
    assert [gate.name for gate in CONTROLS] == [
        "mode_mismatch",
        "not_reconciled",
        "quote_invalid",
        "quote_stale",
        "price_collar",
        "max_order_shares",
        "max_order_notional",
        "max_daily_notional",
        "max_gross_notional",
        "max_net_notional",
        "wrong_direction",
        "duplicate",
        "order_rate",
        "no_progress",
        "self_cross",
        "restricted",
        "buying_power",
        "account_loss",
    ]
    assert [gate.name for gate in DENIALS] == [
        "HALTED",
        "HOLD",
        "INSTRUMENT_HOLD",
        "STALE_MARK",
        "LINK_DOWN",
        "JOURNAL_FAILED",
        "STOPPING",
    ]


def test_a_quiet_day_lets_a_hedge_through_and_every_gate_says_so() -> None:
    judgement = judge(a_proposal())
    assert judgement.quantity == 100
    assert [v.gate for v in judgement.verdicts] == [gate.name for gate in CHAIN]
    assert {v.verdict for v in judgement.verdicts} == {"passed"}


FORCE_PASSES = {"cooldown", "min_price_move"}

ONE_SHARE = {"quantity": Decimal(1), "net_delta": -1.0}
A_FRACTION = {"quantity": Decimal("0.4"), "net_delta": -0.4}

# What is passed on each side of a gate's limit.
BOUNDARIES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("kill_switch", {"killed": False}, {"killed": True}),
    ("circuit_breaker", {"day_pnl": -4999.99}, {"day_pnl": -5000.0}),
    ("STALE_MARK", {"day_pnl": 10.0}, {"day_pnl": None}),
    (
        "STALE_MARK",
        {"day_pnl": None, "own_position": Decimal(-100)},  # a reduction, though a mark is missing
        {"day_pnl": None, "own_position": Decimal(-99)},
    ),
    # 100 shares at 100.01 on the way, valued at 100 once held
    ("max_order_shares", {"limits": {"max_order_shares": 100}}, {"limits": {"max_order_shares": 99}}),
    (
        "max_order_notional",
        {"limits": {"max_order_notional": Decimal(10001)}},
        {"limits": {"max_order_notional": Decimal(10000)}},
    ),
    ("max_order_notional", {}, {"unit_value": None}),
    (
        "max_daily_notional",
        {"limits": {"max_daily_notional": Decimal(50000)}, "exposure": exposure(traded=39999)},
        {"limits": {"max_daily_notional": Decimal(50000)}, "exposure": exposure(traded=40000)},
    ),
    (
        "max_gross_notional",  # 100 + 50 + 150 held, bought and on the way; 5 elsewhere
        {"limits": {"max_gross_notional": Decimal(30005)}, "exposure": exposure(150, 50, others=Sums(5.0))},
        {"limits": {"max_gross_notional": Decimal(30004)}, "exposure": exposure(150, 50, others=Sums(5.0))},
    ),
    (
        "max_gross_notional",  # beyond the limit: what doesn't add to the worst case passes
        {"limits": {"max_gross_notional": Decimal(1)}, "exposure": exposure(-200)},
        {"limits": {"max_gross_notional": Decimal(1)}, "exposure": exposure(-200, 301)},
    ),
    *(
        (
            gate,  # one share: held short it takes away, held by nobody it adds
            {"limits": {gate: Decimal(1)}, "intent": ONE_SHARE, "exposure": exposure(-200)},
            {"limits": {gate: Decimal(1)}, "intent": ONE_SHARE, "exposure": exposure()},
        )
        for gate in ("max_gross_notional", "max_net_notional")
    ),
    (
        "max_net_notional",  # short elsewhere
        {"limits": {"max_net_notional": Decimal(7000)}, "exposure": exposure(others=Sums(0, -3000, -3000))},
        {"limits": {"max_net_notional": Decimal(6999)}, "exposure": exposure(others=Sums(0, -3000, -3000))},
    ),
    (
        "max_notional",
        {"settings": {"max_notional": Decimal(10500)}, "exposure": exposure(own=500)},
        {"settings": {"max_notional": Decimal(10500)}, "exposure": exposure(own=501)},
    ),
    (
        "max_notional",
        {"settings": {"max_notional": Decimal(1)}, "own_position": Decimal(-100), "exposure": exposure(-100)},
        {"settings": {"max_notional": Decimal(1)}, "own_position": Decimal(-99), "exposure": exposure(-99)},
    ),
    (
        "max_orders_per_minute",
        {"settings": {"max_orders_per_minute": 5}, "own_orders_last_minute": 4},
        {"settings": {"max_orders_per_minute": 5}, "own_orders_last_minute": 5},
    ),
    (
        "allowed_instruments",
        {"settings": {"allowed_instruments": (KEY, "SPY|STK|||")}},
        {"settings": {"allowed_instruments": ("SPY|STK|||",)}},
    ),
    ("no_progress", {"repeats": 2}, {"repeats": 3}),
    ("self_cross", {"crossing": None}, {"crossing": an_order(side=Side.SELL)}),
    (
        "restricted",
        {"limits": {"restricted_symbols": ("NV",)}},
        {"limits": {"restricted_symbols": ("SPY", "NVDA")}},
    ),
    ("buying_power", {"buying_power": Decimal(10001)}, {"buying_power": Decimal(10000)}),
    ("buying_power", {"buying_power": None}, {"buying_power": Decimal(0)}),
    (
        "buying_power",
        {"buying_power": Decimal(12001), "exposure": exposure(working=2000.0)},
        {"buying_power": Decimal(12001), "exposure": exposure(working=2001.0)},
    ),
    (
        "buying_power",
        {"buying_power": Decimal(0), "own_position": Decimal(-100)},
        {"buying_power": Decimal(0), "own_position": Decimal(-99)},
    ),
    (
        "account_loss",
        {"limits": {"max_account_loss_usd": Decimal(900)}, "account_pnl": -899.99},
        {"limits": {"max_account_loss_usd": Decimal(900)}, "account_pnl": -900.0},
    ),
    ("account_loss", {"loss_latched": False}, {"loss_latched": True}),
    ("account_loss", {"account_pnl": 1.0}, {"account_pnl": None}),
    *(
        (gate, {}, {"limits": {limit: None}})
        for gate, limit in [
            ("max_order_shares", "max_order_shares"),
            ("max_order_notional", "max_order_notional"),
            ("max_daily_notional", "max_daily_notional"),
            ("max_gross_notional", "max_gross_notional"),
            ("max_net_notional", "max_net_notional"),
            ("account_loss", "max_account_loss_usd"),
        ]
    ),
    ("HOLD", {"holds": ()}, {"holds": ("overfill",)}),
    (
        "HOLD",
        {"holds": ("overfill",), "own_position": Decimal(-150), "working": Decimal(50)},
        {"holds": ("overfill",), "own_position": Decimal(-150), "working": Decimal(51)},
    ),
    (
        "HOLD",  # a fraction of a share is a position, too
        {"holds": ("overfill",), "own_position": Decimal("-0.5"), "intent": A_FRACTION},
        {"holds": ("overfill",), "own_position": Decimal("0.5"), "intent": A_FRACTION},
    ),
    ("INSTRUMENT_HOLD", {"instrument_holds": ()}, {"instrument_holds": ("position_difference",)}),
    (
        "INSTRUMENT_HOLD",
        {"instrument_holds": ("position_difference",), "own_position": Decimal(-100)},
        {"instrument_holds": ("position_difference",), "own_position": Decimal(100)},
    ),
    (
        "circuit_breaker",
        {"day_pnl": 0.0, "own_position": Decimal(-100)},
        {"day_pnl": None, "own_position": Decimal(-100), "breaker_latched": True},
    ),
    ("circuit_breaker", {"day_pnl": 10.0}, {"day_pnl": 10.0, "breaker_latched": True}),
    ("suspended", {"suspended": False}, {"suspended": True}),
    ("outside_rth", {"in_session": True}, {"in_session": False}),
    (
        "earnings_blackout",
        {"settings": {EARNINGS + "dates": (date(2025, 3, 7),)}},  # 4 days before
        {"settings": {EARNINGS + "dates": (date(2025, 3, 6),)}},  # 3 days before
    ),
    (
        "earnings_blackout",
        {"settings": {EARNINGS + "dates": (date(2025, 3, 1),)}},  # 2 days after
        {"settings": {EARNINGS + "dates": (date(2025, 3, 2),)}},  # 1 day after
    ),
    (
        "earnings_blackout",
        {"settings": {EARNINGS + "dates": (date(2025, 1, 1), date(2025, 12, 1))}},
        {"settings": {EARNINGS + "dates": (date(2025, 1, 1), DAY)}},
    ),
    ("cooldown", {"last_hedge": hedged(None, 60)}, {"last_hedge": hedged(None, 59.999)}),
    ("min_price_move", {"last_hedge": hedged("99.80")}, {"last_hedge": hedged("99.81")}),  # 0.2 %
    ("min_price_move", {"last_hedge": hedged("100.21")}, {"last_hedge": hedged("100.19")}),
    (
        "min_price_move",
        {"last_hedge": hedged("80"), "settings": {HEDGE + "min_price_move_pct": 25.0}},
        {"last_hedge": hedged("80"), "settings": {HEDGE + "min_price_move_pct": 25.001}},
    ),
    ("min_price_move", {"last_hedge": hedged(None)}, {"last_hedge": hedged("100")}),
    ("min_price_move", {"last_hedge": hedged("100"), "underlying": None}, {"last_hedge": hedged("100")}),
    (
        "min_price_move",
        {"last_hedge": hedged("100"), "legs_changed": True},
        {"last_hedge": hedged("100"), "legs_changed": False},
    ),
    ("max_daily_hedge_count", {"day_hedges": 49}, {"day_hedges": 50}),
    (
        "max_spread",
        {"settings": {RISK + "max_spread_pct": 0.03}, "underlying": a_quote()},  # 0.02 %
        {"settings": {RISK + "max_spread_pct": 0.01}, "underlying": a_quote()},
    ),
    (
        "max_spread",
        {"settings": {RISK + "max_spread_pct": 8.0}, "underlying": a_quote(96.0, 104.0)},
        {"settings": {RISK + "max_spread_pct": 7.99}, "underlying": a_quote(96.0, 104.0)},
    ),
    ("max_spread", {"underlying": None}, {"settings": {RISK + "max_spread_pct": 1.0}, "underlying": None}),
    ("max_position", {"own_position": Decimal(1900)}, {"own_position": Decimal(2000)}),
    (
        "max_position",
        {"own_position": Decimal(1800), "working": Decimal(100)},
        {"own_position": Decimal(1800), "working": Decimal(200)},
    ),
    (
        "min_hedge_shares",
        {"intent": {"quantity": Decimal(10), "net_delta": -10.0}},
        {"intent": {"quantity": Decimal(9), "net_delta": -9.0}},
    ),
    ("one_in_flight", {"in_flight": None}, {"in_flight": an_order()}),
    ("mode_mismatch", {"paper_account": True}, {"paper_account": False}),
    (
        "mode_mismatch",
        {"paper_account": False, "settings": {RISK + "paper_trade": False}},
        {"paper_account": False},
    ),
    ("not_reconciled", {"reconciled": True}, {"reconciled": False}),
    ("quote_invalid", {"quote": a_quote()}, {"quote": None}),
    ("quote_stale", {"quote": a_quote(age_ms=5000)}, {"quote": a_quote(age_ms=5000.001)}),
    ("price_collar", {"quote": a_quote(98.0, 102.0)}, {"quote": a_quote(97.9, 102.1)}),  # 2 % and 2.1 %
    ("price_collar", {"limit_price": Decimal("102")}, {"limit_price": Decimal("102.01")}),
    ("price_collar", {"limit_price": Decimal("98")}, {"limit_price": Decimal("97.99")}),
    ("price_collar", {"jump_pct": 5.0}, {"jump_pct": 5.01}),
    ("wrong_direction", {"intent": {"net_delta": -50.5}}, {"intent": {"net_delta": -49.5}}),
    ("wrong_direction", {"intent": {"net_delta": -50.001}}, {"intent": {"net_delta": -50.0}}),
    (
        "wrong_direction",  # to 1.0, and to 1.1
        {"intent": {"quantity": Decimal("1.5"), "net_delta": -0.5}},
        {"intent": {"quantity": Decimal("1.6"), "net_delta": -0.5}},
    ),
    ("wrong_direction", {"intent": {"net_delta": None}}, {"intent": {"net_delta": 50.0}}),
    ("wrong_direction", {"intent": {"net_delta": -99.0}}, {"intent": {"net_delta": float("nan")}}),
    ("duplicate", {"recent_orders": sent(2.0)}, {"recent_orders": sent(1.999)}),
    ("duplicate", {"recent_orders": sent(1, filled=1)}, {"recent_orders": sent(1)}),
    ("duplicate", {"recent_orders": sent(1, quantity=99)}, {"recent_orders": sent(1)}),
    ("duplicate", {"recent_orders": sent(1, side=Side.SELL)}, {"recent_orders": sent(1)}),
    ("duplicate", {"recent_orders": sent(1, key="SPY|STK|||")}, {"recent_orders": sent(1)}),
    (
        "duplicate",
        {"recent_orders": sent(0.5, quantity=7)},
        {"recent_orders": sent(0.5, quantity=7) + sent(1)},  # not only the newest counts
    ),
    ("order_rate", {"orders_last_minute": 19}, {"orders_last_minute": 20}),
    ("order_rate", {"orders_today": 499}, {"orders_today": 500}),
    ("HALTED", {"halts": ()}, {"halts": ("position_difference",)}),
    ("LINK_DOWN", {"connected": True}, {"connected": False}),
    ("JOURNAL_FAILED", {"problem": None}, {"problem": "disk full"}),
    ("STOPPING", {"stopping": False}, {"stopping": True}),
]


def test_every_gate_that_may_veto_has_its_boundary() -> None:
    assert {gate for gate, _, _ in BOUNDARIES} | {"max_order_size"} == {gate.name for gate in CHAIN}


@pytest.mark.parametrize(("gate", "good", "bad"), BOUNDARIES)
def test_a_gate_passes_up_to_its_limit_and_vetoes_beyond(
    gate: str, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    assert verdict(judge(a_proposal(**good)), gate) == "passed"
    judgement = judge(a_proposal(**bad))
    assert verdict(judgement, gate) == "vetoed"
    assert judgement.quantity == 0


@pytest.mark.parametrize(("gate", "good", "bad"), BOUNDARIES)
def test_force_bypasses_what_the_table_says_and_nothing_else(
    gate: str, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    forced = {**bad, "intent": {**bad.get("intent", {}), "force": True}}
    judgement = judge(a_proposal(**forced))
    if gate in FORCE_PASSES:
        assert verdict(judgement, gate) == "bypassed"
        assert judgement.quantity == 100
    else:
        assert verdict(judgement, gate) == "vetoed"
        assert judgement.quantity == 0


OBEYED_BY_FLATTEN = {
    "max_order_size",
    "one_in_flight",
    "mode_mismatch",
    "not_reconciled",
    "quote_invalid",
    "order_rate",
    "LINK_DOWN",
    "JOURNAL_FAILED",
    "STOPPING",
}


@pytest.mark.parametrize(("gate", "good", "bad"), BOUNDARIES)
def test_a_flatten_obeys_only_its_subset(gate: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    intent = {**bad.get("intent", {}), "purpose": Purpose.FLATTEN, "net_delta": None}
    judgement = judge(a_proposal(**{**bad, "intent": intent}))
    expected = 0 if gate in OBEYED_BY_FLATTEN else intent.get("quantity", Decimal(100))
    assert judgement.quantity == expected


def test_a_flatten_is_asked_about_stale_quotes_but_allowed() -> None:
    assert {gate.name for gate in FLATTEN_CHAIN} == OBEYED_BY_FLATTEN | {"quote_stale"}
    intent = {"purpose": Purpose.FLATTEN}
    judgement = judge(a_proposal(intent=intent, quote=a_quote(age_ms=60_000)))
    assert verdict(judgement, "quote_stale") == "passed"
    age = next(v.value for v in judgement.verdicts if v.gate == "quote_stale")
    assert age == pytest.approx(60_000)


@pytest.mark.parametrize(("wanted", "kept"), [(500, 500), (501, 500), (4000, 500)])
def test_an_order_is_cut_to_the_largest_size(wanted: int, kept: int) -> None:
    judgement = judge(a_proposal(intent={"quantity": Decimal(wanted), "net_delta": -5000.0}))
    assert judgement.quantity == kept
    assert judgement.shrinks == (("max_order_size",) if wanted > kept else ())


@pytest.mark.parametrize(
    ("own", "working", "side", "wanted", "kept"),
    [
        (1700, 0, Side.BUY, 300, 300),  # exactly up to the limit of 2000
        (1700, 0, Side.BUY, 400, 300),
        (1700, 200, Side.BUY, 400, 100),  # the working order is taken as filled
        (-1700, 0, Side.SELL, 400, 300),
        (2000, 0, Side.BUY, 400, 0),
        (2500, 0, Side.SELL, 400, 400),  # a reduction passes, though it stays beyond the limit
        (-2500, 0, Side.BUY, 400, 400),
        (2500, 0, Side.BUY, 400, 0),
        (0, 0, Side.SELL, 400, 400),
    ],
)
def test_an_order_is_cut_to_what_the_position_limit_leaves(
    own: int, working: int, side: Side, wanted: int, kept: int
) -> None:
    delta = -5000.0 if side is Side.BUY else 5000.0
    judgement = judge(
        a_proposal(
            own_position=Decimal(own),
            working=Decimal(working),
            intent={"side": side, "quantity": Decimal(wanted), "net_delta": delta},
        )
    )
    assert judgement.quantity == kept
    assert verdict(judgement, "max_position") == (
        "vetoed" if not kept else "shrunk" if kept < wanted else "passed"
    )


def test_a_reduction_through_zero_is_held_to_the_limit_on_the_other_side() -> None:
    judgement = judge(
        a_proposal(
            settings={HEDGE + "max_hedge_shares_per_order": 10_000},
            own_position=Decimal(3000),
            intent={"side": Side.SELL, "quantity": Decimal(5500), "net_delta": 9000.0},
        )
    )
    assert judgement.quantity == 5000  # to −2000, not to −2500


def test_a_later_gate_judges_what_earlier_ones_left() -> None:
    judgement = judge(
        a_proposal(own_position=Decimal(1995), intent={"quantity": Decimal(100), "net_delta": -5000.0})
    )
    assert verdict(judgement, "max_position") == "shrunk"  # to 5
    assert judgement.vetoes == ("min_hedge_shares",)


def test_a_gate_that_leaves_less_than_one_share_shrinks() -> None:
    judgement = judge(a_proposal(own_position=Decimal("1999.5")))
    assert judgement.shrinks == ("max_position",)


def test_every_gate_is_asked_also_after_a_veto() -> None:
    judgement = judge(a_proposal(killed=True, suspended=True, day_hedges=50, reconciled=False))
    assert judgement.vetoes == ("kill_switch", "suspended", "max_daily_hedge_count", "not_reconciled")
    assert len(judgement.verdicts) == len(CHAIN)


# What a verdict says that it saw and held it against.
SEEN: list[tuple[str, dict[str, Any], object, object]] = [
    ("kill_switch", {"killed": True}, True, False),
    ("circuit_breaker", {"day_pnl": -6000.0}, -6000.0, Decimal(-5000)),
    ("suspended", {"suspended": True}, True, False),
    ("outside_rth", {"in_session": False}, False, True),
    ("earnings_blackout", {"settings": {EARNINGS + "dates": (DAY,)}}, DAY, DAY),
    ("earnings_blackout", {}, DAY, None),
    ("cooldown", {"last_hedge": hedged(None, 30)}, 30.0, 60.0),
    ("cooldown", {}, None, 60.0),
    ("min_price_move", {"last_hedge": hedged("80")}, 25.0, 0.2),
    ("min_price_move", {"last_hedge": hedged("160")}, 37.5, 0.2),
    ("max_daily_hedge_count", {"day_hedges": 51}, 51, 50),
    (
        "max_spread",
        {"settings": {RISK + "max_spread_pct": 0.1}, "underlying": a_quote(96.0, 104.0)},
        8.0,
        0.1,
    ),
    ("max_spread", {"settings": {RISK + "max_spread_pct": 0.1}, "underlying": None}, None, 0.1),
    ("max_spread", {}, a_quote().spread_pct, None),
    ("max_order_size", {"intent": {"quantity": Decimal(600), "net_delta": -900.0}}, Decimal(600), 500),
    ("max_position", {"own_position": Decimal(1950)}, Decimal(2050), 2000),
    ("min_hedge_shares", {"intent": {"quantity": Decimal(9), "net_delta": -9.0}}, Decimal(9), 10),
    ("one_in_flight", {"in_flight": an_order()}, "BF-test-gamma-7", None),
    ("max_notional", {"settings": {"max_notional": Decimal(9000)}}, 10000.0, Decimal(9000)),
    ("max_notional", {}, None, None),
    (
        "max_orders_per_minute",
        {"settings": {"max_orders_per_minute": 5}, "own_orders_last_minute": 6},
        6,
        5,
    ),
    ("allowed_instruments", {"settings": {"allowed_instruments": ("SPY|STK|||",)}}, KEY, ("SPY|STK|||",)),
    ("mode_mismatch", {"paper_account": False}, False, True),
    ("not_reconciled", {"reconciled": False}, False, True),
    ("quote_invalid", {"quote": None}, False, True),
    ("quote_invalid", {}, True, True),
    ("quote_stale", {"quote": a_quote(age_ms=7000)}, 7000.0, 5000),
    ("quote_stale", {"quote": None}, None, 5000),
    ("price_collar", {"limit_price": Decimal(103)}, 3.0, 2.0),
    ("price_collar", {"quote": a_quote(96.0, 104.0)}, 4.0, 2.0),
    ("price_collar", {"jump_pct": 5.5}, 5.5, 5.0),
    ("price_collar", {"quote": None}, None, 2.0),
    ("max_order_shares", {"limits": {"max_order_shares": 99}}, 100.0, 99),
    ("max_order_notional", {"limits": {"max_order_notional": Decimal(1)}}, 10001.0, Decimal(1)),
    (
        "max_order_notional",
        {"limits": {"max_order_notional": Decimal(1)}, "unit_value": None},
        None,
        Decimal(1),
    ),
    (
        "max_daily_notional",
        {"limits": {"max_daily_notional": Decimal(1)}, "exposure": exposure(traded=500)},
        10501.0,
        Decimal(1),
    ),
    (
        "max_daily_notional",
        {"limits": {"max_daily_notional": Decimal(1)}, "unit_value": None},
        None,
        Decimal(1),
    ),
    (
        "max_gross_notional",
        {"limits": {"max_gross_notional": Decimal(1)}, "exposure": exposure(others=Sums(5.0))},
        10005.0,
        Decimal(1),
    ),
    (
        "max_gross_notional",  # what doesn't add to the worst case passes
        {"limits": {"max_gross_notional": Decimal(1)}, "exposure": exposure(-200)},
        20000.0,
        Decimal(1),
    ),
    (
        "max_net_notional",
        {"limits": {"max_net_notional": Decimal(1)}, "exposure": exposure(others=Sums(0, 7.0))},
        10007.0,
        Decimal(1),
    ),
    (
        "max_net_notional",
        {"limits": {"max_net_notional": Decimal(1)}, "exposure": exposure(-200)},
        20000.0,
        Decimal(1),
    ),
    ("wrong_direction", {"intent": {"net_delta": -40.0}}, 60.0, -40.0),
    ("wrong_direction", {"intent": {"net_delta": None}}, None, None),
    ("duplicate", {"recent_orders": sent(1.5)}, 1.5, 2.0),
    ("duplicate", {}, None, 2.0),
    ("order_rate", {"orders_last_minute": 20}, [20, 0], [20, 500]),
    ("no_progress", {"repeats": 4}, 4, 3),
    ("self_cross", {"crossing": an_order(side=Side.SELL)}, "BF-test-gamma-7", None),
    ("restricted", {"limits": {"restricted_symbols": ("NVDA",)}}, "NVDA", ("NVDA",)),
    (
        "buying_power",
        {"buying_power": Decimal(7), "exposure": exposure(working=500.0)},
        10501.0,
        Decimal(7),
    ),
    ("buying_power", {"buying_power": Decimal(7), "unit_value": None}, None, Decimal(7)),
    ("buying_power", {}, 10001.0, None),
    (
        "account_loss",
        {"limits": {"max_account_loss_usd": Decimal(900)}, "account_pnl": -901.0},
        -901.0,
        Decimal(-900),
    ),
    (
        "account_loss",
        {"limits": {"max_account_loss_usd": Decimal(900)}, "account_pnl": 5.0, "loss_latched": True},
        5.0,
        Decimal(900),
    ),
    ("HALTED", {"halts": ("a", "b")}, ["a", "b"], []),
    ("HOLD", {"holds": ("a", "b")}, ["a", "b"], []),
    ("INSTRUMENT_HOLD", {"instrument_holds": ("a",)}, ["a"], []),
    ("STALE_MARK", {"day_pnl": None}, None, None),
    ("STALE_MARK", {"day_pnl": 12.5}, 12.5, None),
    ("LINK_DOWN", {"connected": False}, False, True),
    ("JOURNAL_FAILED", {"problem": "disk full"}, "disk full", None),
    ("STOPPING", {"stopping": True}, True, False),
]


def test_what_every_gate_sees_is_checked() -> None:
    assert {gate for gate, _, _, _ in SEEN} == {gate.name for gate in CHAIN}


@pytest.mark.parametrize(("gate", "facts", "value", "limit"), SEEN)
def test_a_verdict_names_the_value_and_the_limit(
    gate: str, facts: dict[str, Any], value: object, limit: object
) -> None:
    found = next(v for v in judge(a_proposal(**facts)).verdicts if v.gate == gate)
    assert (found.value, found.limit) == (value, limit)


def test_outside_hours_may_be_traded_where_the_settings_say_so() -> None:
    settings = {"gates.strategy.trading_hours_only": False}
    assert judge(a_proposal(in_session=False, settings=settings)).quantity == 100


def test_a_hedge_within_one_share_of_rounding_is_no_wrong_direction() -> None:
    intent = {"quantity": Decimal(1), "net_delta": -0.4}  # to +0.6
    assert verdict(judge(a_proposal(intent=intent)), "wrong_direction") == "passed"


def test_only_hedges_must_reduce_the_net_delta() -> None:
    intent = {"purpose": Purpose.ENTRY, "net_delta": 50.0}
    assert judge(a_proposal(intent=intent)).quantity == 100
