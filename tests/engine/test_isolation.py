"""A strategy that fails, lies or floods harms itself alone."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import nan
from typing import Any

import pytest
from attrs import define, evolve, field

from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import BrokerEventKind, Decision, Hold, Intent, Purpose, Side
from bifrost_engine.domain.events import Reloaded, StrategyRaised
from bifrost_engine.engine.slot import Slot
from bifrost_engine.testing.engine import CALL, OPEN_NS, PUT, STOCK, EngineUnderTest, make_slot

K = BrokerEventKind
BUY = Intent(contract_key=STOCK.key, side=Side.BUY, quantity=Decimal(10), net_delta=-10.0)


class Broken(Exception):
    """What the strategies of these tests raise."""


@define(slots=False)
class Puppet:
    """A strategy that does what its strings say.

    answer  what it returns or, if it can be called, what it calls
    """

    answer: Any = None
    heard: list[str] = field(factory=list)
    on_order_raises: bool = False

    def on_tick(self, quote: Any, view: Any) -> Any:
        return self.answer(view) if callable(self.answer) else self.answer

    def on_heartbeat(self, beat: Any, view: Any) -> Any:
        return self.on_tick(None, view)

    def on_order(self, update: Any, view: Any) -> None:
        self.heard.append(update.happened)
        if self.on_order_raises:
            raise Broken("in on_order")


def puppet(answer: Any, name: str = "puppet", **fields: Any) -> Slot:
    return make_slot(StrategyConfig(symbol="NVDA", id=name), Puppet(answer, **fields))


def beside_gamma(answer: Any, **arguments: Any) -> EngineUnderTest:
    """Return a run of a puppet, which comes first, and the gamma scalper."""
    fields = {name: arguments.pop(name) for name in ("on_order_raises",) if name in arguments}
    gamma = make_slot(StrategyConfig(symbol="NVDA"))
    return EngineUnderTest(strategies=[puppet(answer, **fields), gamma], **arguments)


def halts(run: EngineUnderTest, strategy_id: str = "puppet") -> tuple[str, ...]:
    return run.engine.core.slots[strategy_id].view.halts


def raise_it(_view: Any) -> Any:
    raise Broken("no luck")


def explain_and_raise() -> Any:
    raise Broken("no words")


class Unhashable(list[int]):
    """A key that can't be compared quickly; a numpy array is another."""


NONSENSE: dict[str, Any] = {
    "an exception": raise_it,
    "an exception of the interpreter": lambda view: 1 / 0,
    "a recursion": lambda view: (lambda f: f(f))(lambda f: f(f)),
    "a number": 7,
    "a text": "buy!",
    "an intent without a decision": BUY,
    "a tuple": (1, 2),
    "no intent at all": Decision(intent="buy"),  # type: ignore[arg-type]
    "a side in words": Decision(intent=evolve(BUY, side="BUY")),
    "a quantity of 0": Decision(intent=evolve(BUY, quantity=Decimal(0))),
    "a negative quantity": Decision(intent=evolve(BUY, quantity=Decimal(-5))),
    "a quantity of NaN": Decision(intent=evolve(BUY, quantity=Decimal("NaN"))),
    "an endless quantity": Decision(intent=evolve(BUY, quantity=Decimal("Infinity"))),
    "a float quantity": Decision(intent=evolve(BUY, quantity=10.0)),
    "a purpose in words": Decision(intent=evolve(BUY, purpose="HEDGE")),
    "the operator's purpose": Decision(intent=evolve(BUY, purpose=Purpose.FLATTEN)),
    "an order type in words": Decision(intent=evolve(BUY, order_type="LMT")),
    "half a tick": Decision(intent=evolve(BUY, limit_offset_ticks=0.5)),
    "a delta in words": Decision(intent=evolve(BUY, net_delta="much")),
    "another symbol": Decision(intent=evolve(BUY, contract_key="SPY|STK|||")),
    "no contract": Decision(intent=evolve(BUY, contract_key="NVDA|OPT|soon|100|C")),
    "a key that has no hash": Decision(key=(Unhashable(),)),
    "a hold in words": Decision(hold="long"),  # type: ignore[arg-type]
    "a hold of words": Decision(
        hold=Hold(contract_key=STOCK.key, low="a", high="b", max_spread=1, until_ns=1)  # type: ignore[arg-type]
    ),
    "legs that are none": Decision(legs=("what?",)),
    "legs of numbers": Decision(legs=(1, 2)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE.keys())
def test_what_cant_be_meant_holds_its_strategy_and_no_other(nonsense: Any) -> None:
    run = beside_gamma(nonsense)
    run.mid(103)
    run.beat()
    assert halts(run) == ("strategy_raised",)
    assert halts(run, "gamma") == ()
    assert [effect.request.client_order_id for effect in run.placed] == ["BF-test-gamma-1"]
    assert run.engine.core.counters["raised_puppet"] >= 2
    assert len(run.operations("hold")) == 1
    run.stored_records()  # and the journal can hold it all


def test_a_strategy_that_raised_orders_nothing_until_it_is_resumed() -> None:
    run = beside_gamma(raise_it)
    run.mid(103)
    run.fill(price="103")
    run.slot.plugin.answer = Decision(intent=BUY)
    for _ in range(5):
        run.advance(70).beat()
        run.reconcile()
        run.mid(99.2)
    assert {effect.request.client_order_id[:10] for effect in run.placed} == {"BF-test-ga"}
    assert run.slot.last_veto == "HOLD"
    run.command("manual_resume", strategy_id="puppet")
    run.advance(70).beat()
    run.reconcile()
    run.mid(99.2)
    assert run.last_order.client_order_id == "BF-test-puppet-1"


def test_a_strategy_that_raises_is_safe_by_its_snapshot() -> None:
    run = beside_gamma(raise_it)
    run.mid(103)
    snapshot = run.engine.snapshots()[0]
    assert snapshot["trading_state"] == "SAFE"
    assert "strategy_raised" in snapshot["block_reasons"]


def test_an_exception_on_an_order_holds_and_the_order_goes_its_way() -> None:
    run = beside_gamma(Decision(intent=BUY), on_order_raises=True)
    run.mid(99.2)
    assert halts(run) == ("strategy_raised",)
    assert len(run.placed) == 1
    run.ack()
    run.fill()
    assert run.engine.core.state.portfolio.quantities("puppet")[STOCK.key] == 10
    run.advance(70).mid(99.2)
    assert len(run.placed) == 1


def test_orders_of_a_strategy_that_raised_are_cancelled_where_that_is_wanted() -> None:
    run = beside_gamma(Decision(intent=BUY), account_settings={"oms.on_error": "cancel"})
    run.mid(99.2)
    run.ack()
    run.slot.plugin.answer = raise_it
    run.mid(99.2)
    assert [effect.request.reason for effect in run.cancels] == ["strategy_raised"]


def test_an_order_that_is_just_being_made_is_cancelled_after_it_left() -> None:
    run = beside_gamma(
        Decision(intent=BUY), on_order_raises=True, account_settings={"oms.on_error": "cancel"}
    )
    run.mid(99.2)
    kinds = [type(effect).__name__ for effect in run.effects]
    assert kinds.index("PlaceOrder") < kinds.index("CancelOrder")


def test_a_callback_that_ran_too_long_holds_as_one_that_raised() -> None:
    run = beside_gamma(None)
    run.handle(StrategyRaised(ts_ns=run.now_ns, strategy_id="puppet", error="on_tick took 7 s"))
    assert halts(run) == ("strategy_raised",)
    assert halts(run, "gamma") == ()
    run.handle(StrategyRaised(ts_ns=run.now_ns, strategy_id="nobody", error="?"))


def test_words_that_raise_are_recorded_as_such() -> None:
    run = beside_gamma(Decision(key=("x",), explain=explain_and_raise))
    run.mid(99.2)
    signals = [r for r in run.stored_records() if r.kind == "signal" and r.strategy_id == "puppet"]
    assert signals[0].payload["reasons"] == ["explain raised Broken: no words"]
    assert run.engine.snapshots()[0]["block_reasons"] == ["explain raised Broken: no words"]


@pytest.mark.parametrize(
    "value",
    [object(), {1: 2}, {"a": {2, 3}}, [b"bytes"], nan, 1 + 2j, range(3), Decimal("NaN")],
)
def test_words_of_any_type_can_be_stored(value: Any) -> None:
    run = beside_gamma(Decision(key=("x",), explain=lambda: {"what": value, "reasons": "one"}))
    run.mid(99.2)
    run.stored_records()
    run.engine.snapshots()


def test_words_that_never_end_are_no_words() -> None:
    circle: list[Any] = []
    circle.append(circle)
    run = beside_gamma(Decision(key=("x",), explain=lambda: {"what": circle}))
    run.mid(99.2)
    run.stored_records()


def test_a_model_that_raises_prices_nothing() -> None:
    run = beside_gamma(Decision(legs=("NVDA|OPT|20250328|100|C",)))

    def model_price(key: str, view: Any) -> Any:
        raise Broken("no model")

    run.slot.plugin.__class__ = type("Priced", (Puppet,), {"model_price": staticmethod(model_price)})
    run.mid(103)
    run.advance(120).beat()
    assert run.engine.core.counters["model_raised_puppet"] > 0
    assert run.engine.snapshots()[0]["daily_pnl"] is None


@pytest.mark.parametrize("has_reconfigure", [True, False])
def test_new_settings_that_a_strategy_cant_take_hold_it(has_reconfigure: bool) -> None:
    run = beside_gamma(None)
    if has_reconfigure:
        namespace = {"reconfigure": lambda self, config: raise_it(config)}
        run.slot.plugin.__class__ = type("Configured", (Puppet,), namespace)
    config = evolve(run.config.strategies[0], enabled=False)
    run.handle(Reloaded(ts_ns=run.now_ns, config=run.config.with_strategy(config)))
    assert halts(run) == (("strategy_raised",) if has_reconfigure else ())
    assert run.slot.config.enabled is False


@pytest.mark.parametrize(
    "change",
    [
        lambda view: view.own_positions().clear(),
        lambda view: view.own_positions().update({STOCK.key: Decimal(1)}),
        lambda view: setattr(view, "now_ns", 0),
        lambda view: setattr(view, "halts", ()),
        lambda view: view.place_order(),
    ],
)
def test_a_view_cant_be_written_to(change: Callable[[Any], Any]) -> None:
    run = beside_gamma(Decision(intent=BUY))
    run.mid(99.2)
    run.fill()
    run.slot.plugin.answer = change
    run.mid(99.2)
    assert halts(run) == ("strategy_raised",)
    assert run.engine.core.state.portfolio.quantities("puppet") == {STOCK.key: 10}
    assert run.engine.core.now_ns == run.now_ns


def test_a_strategy_hears_of_its_own_orders_only() -> None:
    run = beside_gamma(None)
    run.hedge(103, filled=True)
    assert run.slot.plugin.heard == []
    run.slot.plugin.answer = Decision(intent=BUY)
    run.mid(99.2)
    run.ack()
    run.fill()
    assert run.slot.plugin.heard == ["SUBMIT", "ACK", "FILL_FULL"]


def test_a_flood_of_intents_is_one_order_at_a_time_at_the_gates_pace() -> None:
    run = beside_gamma(Decision(intent=evolve(BUY, net_delta=-1e5)))
    for _ in range(590):
        run.advance(0.1).mid(99.2)
        if run.placed and run.order.is_open:
            run.fill()
    mine = [e for e in run.placed if e.request.client_order_id.startswith("BF-test-puppet")]
    assert len(mine) == 1  # a minute's cooldown
    assert len(run.stored_records()) < 120  # and equal vetoes are folded
    assert halts(run, "gamma") == ()


def test_an_intent_at_a_beat_is_recorded_and_not_acted_on() -> None:
    run = beside_gamma(Decision(intent=BUY))
    run.beat()
    assert not run.placed
    assert [r.payload["kind"] for r in run.records if r.kind == "signal" and r.strategy_id == "puppet"] == [
        "hedge"
    ]


def test_gamma_that_raises_inside_goes_to_safe_and_comes_back_by_a_resume() -> None:
    run = EngineUnderTest()
    run.mid(99.2)
    regime = run.slot.plugin.regime
    run.slot.plugin.regime = None
    run.mid(103)
    assert run.slot.view.halts == ("strategy_raised",)
    run.slot.plugin.regime = regime
    run.mid(103)
    assert (run.slot.plugin.state, run.slot.plugin.cause) == ("SAFE", "strategy_raised")
    for _ in range(20):
        run.advance(1).mid(103)
    assert not run.placed
    run.command("manual_resume")
    run.mid(103)
    assert len(run.placed) == 1


def test_two_strategies_together_order_as_each_would_alone() -> None:
    def settings(name: str) -> StrategyConfig:
        return StrategyConfig(symbol=name, id=name.lower())

    def drive(run: EngineUnderTest) -> dict[str, list[tuple[str, Decimal, int]]]:
        sent: dict[str, list[tuple[str, Decimal, int]]] = {}
        for i in range(40):
            run.now_ns = OPEN_NS + (i + 1) * 31 * 10**9
            for symbol, drift in (("NVDA", 0.3), ("SPY", -0.2)):
                before = len(run.placed)
                mid = 100 + drift * i
                stock = evolve(STOCK, symbol=symbol)
                run.quote(mid - 0.01, mid + 0.01, contract=stock, ts_ns=OPEN_NS + (i + 1) * 31 * 10**9)
                for effect in run.placed[before:]:
                    request = effect.request
                    sent.setdefault(symbol, []).append((request.side, request.quantity, i))
                    run.fill(price=f"{mid:.2f}")
        return sent

    def legs(symbol: str) -> list[Any]:
        return [(evolve(CALL, symbol=symbol), 10), (evolve(PUT, symbol=symbol), 10)]

    both = drive(
        EngineUnderTest(
            strategies=[make_slot(settings("NVDA")), make_slot(settings("SPY"))],
            positions=[*legs("NVDA"), *legs("SPY")],
        )
    )
    for symbol in ("NVDA", "SPY"):
        alone = EngineUnderTest(strategies=[make_slot(settings(symbol))], positions=legs(symbol))
        assert drive(alone)[symbol] == both[symbol]
        assert len(both[symbol]) > 3


def test_a_strategy_that_gives_no_reason_for_nothing_is_told_to_give_none() -> None:
    run = beside_gamma(Decision(key=("x",)))
    run.mid(103)
    signal = next(r.payload for r in run.records if r.kind == "signal" and r.strategy_id != "gamma")
    assert signal["reasons"] == ["the strategy gives no reason"]
