"""The gamma scalper: classifies the situation and says which hedge it wants.

It reads its view, keeps the market regime, the legs and the trading machine, and
returns decisions; gates, orders and books are the engine's.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain.contract import stock_key
from bifrost_engine.domain.decision import Beat, Decision, Hold, Intent
from bifrost_engine.domain.order import OrderType, Side
from bifrost_engine.domain.quote import Quote
from bifrost_engine.domain.session import Session
from bifrost_engine.domain.view import OrderUpdate, StrategyView
from bifrost_engine.oms.hedge import EXECUTION
from bifrost_engine.strategies.gamma.dimensions import (
    WORDS,
    DeltaBand,
    Dimensions,
    deviation_dimension,
    execution_dimension,
    liquidity_dimension,
    option_dimension,
    sensible,
    system_dimension,
)
from bifrost_engine.strategies.gamma.holds import hold_range, slack
from bifrost_engine.strategies.gamma.legs import Leg, Selection, make_legs, select
from bifrost_engine.strategies.gamma.pricer import Pricer
from bifrost_engine.strategies.gamma.regime import MINUTE_NS, Regime
from bifrost_engine.strategies.gamma.trading import (
    BOOT,
    CAUSES,
    HEDGING,
    NEED_HEDGE,
    RESTING,
    SAFE,
    TRADING,
    Facts,
)

NS = 1_000_000_000
MS = 1_000_000


class GammaStrategy:
    """One instance of the strategy, for one underlying."""

    Config = StrategyConfig
    hook_version = "1.0"

    def __init__(self, config: StrategyConfig, context: object = None) -> None:
        self.state = BOOT
        self.cause = ""
        self.selection = Selection((), ())
        self.legs: tuple[Leg, ...] = ()
        self.net_delta: float | None = None
        self.lag_ms = 0.0
        self.unexpected_events = 0
        self._session: Session | None = None
        self._positions_version = -1
        self._select_due = True
        self._select_anew = False
        self._resumes = 0
        self._good_since_ns: int | None = None
        self._last_quote_ns: int | None = None
        self._delta_known = False
        self._gamma = 0.0
        self.reconfigure(config)

    def reconfigure(self, config: StrategyConfig) -> None:
        """Take new settings; a changed ``structure`` selects the legs anew."""
        old: StrategyConfig | None = getattr(self, "config", None)
        self.config = config
        self.pricer = Pricer(config.greeks)
        delta, market = config.gates.state.delta, config.gates.state.market
        self.band = DeltaBand(
            delta.epsilon_band,
            delta.threshold_hedge_shares,
            delta.max_delta_limit,
            config.gates.guard.risk.max_net_delta_shares,
        )
        if old is None or old.gates.state.market != market:
            self.regime = Regime(market)
        if old is not None and old.gates.strategy.structure != config.gates.strategy.structure:
            self._select_due = self._select_anew = True
        self._positions_version = -1

    # --- hooks -------------------------------------------------------------------------------

    def on_tick(self, quote: Quote, view: StrategyView) -> Decision | None:
        """Decide on a quote of the underlying or of a leg."""
        key = stock_key(view.symbol)
        underlying = view.quote(key)
        if quote.contract_key != key:
            self.pricer.learn(quote, underlying, self.legs, view.now_ns)
        if underlying is not None:
            self.lag_ms = (quote.event_ns - underlying.ts_ns) / MS
        self._watch_market(view, key, underlying)
        return self._decide(view, underlying, tick=True)

    def on_heartbeat(self, beat: Beat, view: StrategyView) -> Decision | None:
        """Age quotes and move timers; nothing is proposed."""
        key = stock_key(view.symbol)
        underlying = view.quote(key)
        self._watch_market(view, key, underlying)
        return self._decide(view, underlying, tick=False)

    def on_order(self, update: OrderUpdate, view: StrategyView) -> None:
        """Follow the hedge in flight."""
        if update.happened == "SUBMIT":
            self._step("target_emitted", self._facts(view, None))
        for state in update.hedge_states:
            event = {"FAIL": "hedge_failed", "FILLED": "hedge_done", "EXEC_IDLE": "hedge_done"}.get(state)
            if event and self.state == HEDGING:
                self._step(event, self._facts(view, None))

    def model_price(self, contract_key: str, view: StrategyView) -> float | None:
        """Return the model's price of a managed leg, quote currency per share, or None."""
        underlying = view.quote(stock_key(view.symbol)) or view.previous_quote(stock_key(view.symbol))
        leg = next((leg for leg in self.legs if leg.contract_key == contract_key), None)
        if leg is None or underlying is None:
            return None
        return self.pricer.price(leg, underlying.mid, view.now_ns)

    # --- what is seen ------------------------------------------------------------------------

    def _watch_market(self, view: StrategyView, key: str, underlying: Quote | None) -> None:
        session = view.session()
        counted = session is not None or not self.config.gates.strategy.trading_hours_only
        previous = view.previous_quote(key)
        if previous is not None and self._counts(previous, session):
            self.regime.see(previous.ts_ns, previous.mid)
        if session is not None and session != self._session:
            self.regime.open_session(session.open_ns)
            self._session = session
            self._select_due = True
        if underlying is not None:
            self._last_quote_ns = underlying.ts_ns
            if counted and self._counts(underlying, session):
                self.regime.see(underlying.ts_ns, underlying.mid)
        self.regime.roll(view.now_ns)
        version = view.positions_version()
        if version != self._positions_version or self._select_due or self._selects_live(underlying):
            self._choose_legs(view, underlying, version)
        self._revalue(view, key, underlying)

    def _counts(self, quote: Quote, session: Session | None) -> bool:
        if not self.config.gates.strategy.trading_hours_only:
            return True
        return session is not None and session.open_ns <= quote.ts_ns < session.close_ns

    def _selects_live(self, underlying: Quote | None) -> bool:
        return underlying is not None and self.config.gates.strategy.structure.selection == "live"

    def _choose_legs(self, view: StrategyView, underlying: Quote | None, version: int) -> None:
        structure = self.config.gates.strategy.structure
        anew = self._select_anew or structure.selection == "live"
        in_session = view.session() is not None or not self.config.gates.strategy.trading_hours_only
        spot = underlying.mid if underlying is not None and in_session else None
        keep = () if anew and spot is not None else view.legs
        self.selection = select(view, spot, structure, keep)
        self.legs = make_legs(view, self.selection.managed)
        self._positions_version = version
        if spot is not None:
            self._select_due = self._select_anew = False

    def _revalue(self, view: StrategyView, key: str, underlying: Quote | None) -> None:
        # Without a quote the last good greeks stay.
        if underlying is None:
            return
        totals = self.pricer.delta_and_gamma(self.legs, underlying.mid, view.now_ns)
        if totals is None:
            self.net_delta = None
            return
        delta, self._gamma = totals
        stock = float(self._stock(view, key))
        valid = sensible(delta + stock, self._gamma)
        self.net_delta = delta + stock if valid else None
        self._delta_known = self._delta_known or valid

    def _stock(self, view: StrategyView, key: str) -> Decimal:
        own = view.own_positions().get(key, Decimal(0))
        if self._counts_outside(view):
            own += view.outside_positions().get(key, Decimal(0))
        return own

    def _counts_outside(self, view: StrategyView) -> bool:
        asked = self.config.gates.strategy.structure.include_account_stock
        return view.sole_strategy if asked is None else asked

    # --- what follows ------------------------------------------------------------------------

    def _dimensions(self, view: StrategyView, underlying: Quote | None) -> Dimensions:
        liquidity = self.config.gates.state.liquidity
        return Dimensions(
            option_dimension(tuple(leg.weight for leg in self.legs), self._gamma),
            deviation_dimension(self.net_delta, self.band),
            "M5" if self._stale(view) else self.regime.value,
            liquidity_dimension(underlying, liquidity.wide_spread_pct, liquidity.extreme_spread_pct),
            execution_dimension(view.connected, view.hedge_state, EXECUTION),
            system_dimension(
                bool(view.halts),
                self.net_delta is not None,
                self.lag_ms,
                self.config.gates.state.system.data_lag_threshold_ms,
            ),
        )

    def _stale(self, view: StrategyView) -> bool:
        session = view.session()
        if session is None:
            return False
        since = max(session.open_ns, self._last_quote_ns or view.started_ns)
        return (view.now_ns - since) / MS > self.config.gates.state.market.stale_ts_threshold_ms

    def _facts(self, view: StrategyView, underlying: Quote | None) -> Facts:
        return self._facts_of(view, underlying, self._dimensions(view, underlying))

    def _facts_of(self, view: StrategyView, underlying: Quote | None, dims: Dimensions) -> Facts:
        risk = self.config.gates.guard.risk
        max_spread = risk.max_spread_pct
        data_ok = underlying is not None and dims.market != "M5" and self.net_delta is not None
        narrow = underlying is not None and (max_spread is None or underlying.spread_pct <= max_spread)
        all_good = view.connected and view.reconciled and data_ok and not view.halts
        self._good_since_ns = (self._good_since_ns or view.now_ns) if all_good else None
        pause_ns = int(self.config.gates.state.system.safe_recovery_seconds * NS)
        return Facts(
            option=dims.option,
            deviation=dims.deviation,
            positions_ok=view.reconciled,
            data_ok=data_ok,
            enabled=self.config.enabled,
            delta_ready=self.net_delta is not None,
            liquidity_ok=dims.liquidity not in ("L2", "L3") and narrow,
            cost_ok=dims.deviation == "D3" or self._moved_enough(view, underlying),
            retry_allowed=view.day_hedges < risk.max_daily_hedge_count and not view.halts,
            broker_up=view.connected,
            recovered=self._good_since_ns is not None and view.now_ns - self._good_since_ns >= pause_ns,
            cause_passes=CAUSES.get(self.cause, 1) == 1,
        )

    def _moved_enough(self, view: StrategyView, underlying: Quote | None) -> bool:
        last = view.last_hedge
        if last is None or last.fill_price is None or view.legs_changed or underlying is None:
            return True
        moved = 100.0 * abs(underlying.mid / float(last.fill_price) - 1.0)
        return moved >= self.config.gates.intent.hedge.min_price_move_pct

    def _step(self, event: str, facts: Facts) -> None:
        to = TRADING.step(self.state, event, facts)
        if to is None:
            self.unexpected_events += 1
            return
        if to == SAFE and CAUSES.get(event, 0) >= CAUSES.get(self.cause, 0):
            self.cause = event
        elif to != SAFE:
            self.cause = ""
        self.state = to

    def _decide(self, view: StrategyView, underlying: Quote | None, tick: bool) -> Decision:
        dims = self._dimensions(view, underlying)
        facts = self._facts_of(view, underlying, dims)
        self._run_machine(view, dims, facts, tick)
        blocked = self._failing(dims)
        intent = self._intent(view, dims) if tick and not blocked else None
        legs = self.selection.managed
        return Decision(
            intent=intent,
            key=(dims, self.state, view.hedge_state),
            explain=lambda: self._explain(view, underlying, dims, blocked),
            legs=legs if legs != view.legs else None,
            hold=None if intent else self._hold(view, underlying, dims),
        )

    def _run_machine(self, view: StrategyView, dims: Dimensions, facts: Facts, tick: bool) -> None:
        if view.stopping:
            if self.cause != "shutdown":
                self._step("shutdown", facts)
            return
        if self.state == BOOT:
            if not view.connected:
                return
            self._step("start", facts)
        for event in self._alarms(view, dims):
            self._step(event, facts)
        if view.resumes != self._resumes:
            self._resumes = view.resumes
            self._step("manual_resume", facts)
        if tick:
            self._tick_until_rest(facts)

    def _alarms(self, view: StrategyView, dims: Dimensions) -> list[str]:
        alarms = []
        if not view.connected:
            alarms.append("broker_down")
        if dims.market == "M5":
            alarms.append("data_stale")
        # Greeks that never were good are awaited, not bad.
        if dims.deviation == "D4" and self._delta_known:
            alarms.append("greeks_bad")
        if view.halts:
            alarms.append("strategy_raised" if "strategy_raised" in view.halts else "risk_halt")
        return alarms

    def _tick_until_rest(self, facts: Facts) -> None:
        for _ in range(len(TRADING.states)):
            to = TRADING.step(self.state, "tick", facts)
            if to is None or to == self.state:
                return
            self._step("tick", facts)

    def _failing(self, dims: Dimensions) -> tuple[str, ...]:
        """Return the code of every term of the hedge condition that fails; the state is one of them."""
        codes = [
            code
            for code, allowed in zip(dims, _ALLOWED, strict=True)
            if (code not in allowed if isinstance(allowed, frozenset) else code == allowed)
        ]
        if self.state != NEED_HEDGE:
            codes.append(self.state)
        return tuple(codes)

    def _intent(self, view: StrategyView, dims: Dimensions) -> Intent | None:
        assert self.net_delta is not None
        need = round(-self.net_delta)
        if not need:
            return None
        order = self.config.order
        resting = order.order_type == "limit" and not (dims.deviation == "D3" and view.limit_exhausted)
        return Intent(
            contract_key=stock_key(view.symbol),
            side=Side.BUY if need > 0 else Side.SELL,
            quantity=Decimal(abs(need)),
            order_type=OrderType.LIMIT if resting else OrderType.MARKET,
            limit_offset_ticks=order.limit_offset_ticks if resting else 0,
            force=dims.deviation == "D3",
            net_delta=self.net_delta,
            reason=f"{dims.deviation} {WORDS[dims.deviation]}",
        )

    def _hold(self, view: StrategyView, underlying: Quote | None, dims: Dimensions) -> Hold | None:
        volatility = self.pricer.constant_volatility
        quiet = (
            underlying is not None
            and volatility is not None
            and self.net_delta is not None
            and self.state in RESTING
            and dims.deviation in ("D0", "D1")
            and dims.liquidity == "L0"
            and dims.system == "S0"
            and not view.stopping
            and self.config.gates.strategy.structure.selection != "live"
            and not self._select_due
        )
        if not quiet or not self.legs or len({leg.weight > 0 for leg in self.legs}) != 1:
            return None
        assert underlying is not None
        assert volatility is not None
        assert self.net_delta is not None
        gates, greeks = self.config.gates, self.config.greeks
        boundary = min(view.next_boundary_ns(), min(leg.expiry_ns for leg in self.legs))
        until_ns = min((view.now_ns // MINUTE_NS + 1) * MINUTE_NS, boundary)
        spread = gates.state.liquidity.wide_spread_pct
        if gates.guard.risk.max_spread_pct is not None:
            spread = min(spread, gates.guard.risk.max_spread_pct)
        return hold_range(
            underlying,
            view.now_ns,
            until_ns,
            self.legs,
            volatility,
            greeks.risk_free_rate,
            greeks.dividend_yield,
            slack(self.net_delta, self.band),
            spread,
            int(gates.state.system.data_lag_threshold_ms * MS),
        )

    # --- what is told ------------------------------------------------------------------------

    def _explain(
        self, view: StrategyView, underlying: Quote | None, dims: Dimensions, blocked: tuple[str, ...]
    ) -> Mapping[str, Any]:
        key = stock_key(view.symbol)
        totals = None
        if underlying is not None:
            totals = self.pricer.totals(self.legs, underlying.mid, view.now_ns)
        return {
            "trading_state": self.state,
            "safe_cause": self.cause,
            "hedge_state": view.hedge_state,
            "dimensions": dims.words(),
            "spot": None if underlying is None else underlying.mid,
            "bid": None if underlying is None else underlying.bid,
            "ask": None if underlying is None else underlying.ask,
            "net_delta": self.net_delta,
            "stock_position": int(view.own_positions().get(key, 0)),
            "option_legs_count": len(self.legs),
            "legs_left_out": [f"{key}: {why}" for key, why in self.selection.left_out],
            "gamma": None if totals is None else totals.gamma,
            "theta": None if totals is None else totals.theta,
            "vega": None if totals is None else totals.vega,
            "volatility_age_s": self.pricer.oldest_volatility_s(self.legs, view.now_ns),
            "data_lag_ms": self.lag_ms,
            "reasons": [self._reason(code, view, underlying) for code in blocked],
        }

    def _reason(self, code: str, view: StrategyView, underlying: Quote | None) -> str:
        word = WORDS.get(code)
        if word is None:
            cause = f" ({', '.join(view.halts) or self.cause})" if code == SAFE and self.cause else ""
            return f"state {code}{cause}"
        facts = self._facts_behind(code, view, underlying)
        return f"{code} {word}" + (f" {facts}" if facts else "")

    def _facts_behind(self, code: str, view: StrategyView, underlying: Quote | None) -> str:
        state = self.config.gates.state
        if code in ("D0", "D1") and self.net_delta is not None:
            limit = self.band.epsilon if code == "D0" else self.band.threshold
            return f"net delta {self.net_delta:.1f} within ±{limit:g}"
        if code == "L2" and underlying is not None:
            return f"spread {underlying.spread_pct:.2f} % ≥ {state.liquidity.extreme_spread_pct:g} %"
        if code == "M5":
            since = (view.now_ns - (self._last_quote_ns or view.started_ns)) / NS
            return f"last quote {since:.1f} s ago > {state.market.stale_ts_threshold_ms / 1000:g} s"
        if code == "S2":
            return f"lag {self.lag_ms:.0f} ms > {state.system.data_lag_threshold_ms:g} ms"
        if code == "S3":
            return ", ".join(view.halts)
        if code[0] == "E":
            return view.hedge_state
        return ""


# What the hedge condition asks of each dimension: one of a set, or anything but a code.
_ALLOWED: tuple[frozenset[str] | str, ...] = (
    frozenset({"O1", "O2"}),
    frozenset({"D2", "D3"}),
    "M5",
    frozenset({"L0", "L1"}),
    frozenset({"E0"}),
    frozenset({"S0"}),
)
