"""The gamma scalper: classifies the situation and says which hedge it wants.

It reads its view, keeps the market regime, the legs and the trading machine, and
returns decisions; gates, orders and books are the engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from math import inf
from typing import Any

from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain.contract import stock_key
from bifrost_engine.domain.decision import Beat, Cells, Decision, Hold, Intent
from bifrost_engine.domain.order import OrderType, Purpose, Side
from bifrost_engine.domain.quote import Quote
from bifrost_engine.domain.session import Session
from bifrost_engine.domain.view import OrderUpdate, StrategyView
from bifrost_engine.oms.hedge import EXECUTION
from bifrost_engine.strategies.gamma.cells import DEVIATIONS, parts
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
from bifrost_engine.strategies.gamma.holds import SAFETY, Bounds, bounds_of, hold_range
from bifrost_engine.strategies.gamma.legs import NO_QUOTE, Leg, Selection, make_legs, select
from bifrost_engine.strategies.gamma.pricer import Pricer
from bifrost_engine.strategies.gamma.regime import MINUTE_NS, Regime
from bifrost_engine.strategies.gamma.story import NO_SHARES, NO_TICK, Seen, explain, explain_at
from bifrost_engine.strategies.gamma.trading import (
    BOOT,
    CAUSES,
    HALTS,
    HEDGING,
    IDLE,
    NEED_HEDGE,
    PAUSE_COST,
    PAUSE_LIQ,
    RESTING,
    SAFE,
    TRADING,
    Facts,
)

NS = 1_000_000_000
MS = 1_000_000
FAR = 1 << 63
HEDGE_ENDS = {"FAIL": "hedge_failed", "FILLED": "hedge_done", "EXEC_IDLE": "hedge_done"}
"""State of the hedge machine → event of the trading machine, once it is reached in HEDGING."""
WAITING = frozenset([NEED_HEDGE, PAUSE_COST, PAUSE_LIQ])
"""States beyond the threshold in which a tick leaves the machine while nothing else changes."""
EVERYWHERE = (0.0, inf)
HEDGEABLE = frozenset(["O1", "O2", "D2", "D3", "M0", "M1", "M2", "M3", "M4", "L0", "L1", "E0", "S0"])
"""Values of the dimensions with which a hedge may be proposed."""


class GammaStrategy:
    """One instance of the strategy, for one underlying."""

    Config = StrategyConfig
    hook_version = "1.0"

    def __init__(self, config: StrategyConfig, context: object = None) -> None:
        self.state = BOOT
        self.cause = ""
        self.selection = Selection((), ())
        self.legs: tuple[Leg, ...] = ()
        self._valued: tuple[Any, ...] = ()
        self._greeks: tuple[float, float] | None = None
        self._priced_at: tuple[Any, ...] = ()
        self._priced: Mapping[str, float] = {}
        self.net_delta: float | None = None
        self.unexpected_events = 0
        self._session: Session | None = None
        self._positions_version = self._options_version = -1
        self._select_due = True
        self._select_anew = False
        self._resumes = 0
        self._good_since_ns: int | None = None
        self._last_quote_ns: int | None = None
        self._delta_known = False
        self._option_delta = self._gamma = 0.0
        self._now_session: Session | None = None
        self._shares = self._own_shares = 0.0
        self._weights: tuple[float, ...] = ()
        self._next_expiry_ns = 0
        self._bounds: Bounds | None = None
        self._bounds_until_ns = 0
        self._last_key: tuple[Any, ...] = ()
        self._cells: Cells | None = None
        self._cells_about: tuple[Any, ...] = ()
        self._cells_bounds: Bounds | None = None
        self._known_cells: dict[tuple[int, str], Seen] = {}
        self._failing: dict[tuple[Dimensions, str], tuple[str, ...]] = {}
        self.reconfigure(config)

    def reconfigure(self, config: StrategyConfig) -> None:
        """Take new settings; a changed ``structure`` selects the legs anew."""
        old: StrategyConfig | None = getattr(self, "config", None)
        self.pricer = Pricer(config.greeks)  # refuses what it can't do before anything changes
        self.config = config
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
        self._positions_version = self._options_version = -1
        self._bounds_until_ns = 0
        liquidity, risk = config.gates.state.liquidity, config.gates.guard.risk
        self._wide_pct, self._extreme_pct = liquidity.wide_spread_pct, liquidity.extreme_spread_pct
        self._max_spread_pct = risk.max_spread_pct
        limits = {self._wide_pct, self._extreme_pct, risk.max_spread_pct}
        self._spread_limits = tuple(sorted(limit for limit in limits if limit is not None))
        self._lag_limit_ms = config.gates.state.system.data_lag_threshold_ms
        self._stale_ms = market.stale_ts_threshold_ms
        self._recovery_ns = int(config.gates.state.system.safe_recovery_seconds * NS)
        self._rth_only = config.gates.strategy.trading_hours_only
        self._live_selection = config.gates.strategy.structure.selection == "live"

    # --- hooks -------------------------------------------------------------------------------

    def on_tick(self, quote: Quote, view: StrategyView) -> Decision | None:
        """Decide on a quote of the underlying or of a leg."""
        key = stock_key(view.symbol)
        underlying = view.quote(key)
        if quote.contract_key != key:
            self.pricer.learn(quote, underlying, self.legs, view.now_ns)
        self._watch_market(view, key, underlying)
        return self._decide(view, underlying, tick=True)

    def on_heartbeat(self, beat: Beat, view: StrategyView) -> Decision | None:
        """Age quotes and move timers; nothing is proposed."""
        key = stock_key(view.symbol)
        underlying = view.quote(key)
        self._watch_market(view, key, underlying)
        return self._decide(view, underlying, tick=False)

    def on_order(self, update: OrderUpdate, view: StrategyView) -> None:
        """Follow the hedge in flight; an operator's flatten isn't one."""
        if update.order.purpose is not Purpose.HEDGE:
            return
        events = ["target_emitted"] if update.happened == "SUBMIT" else []
        events += [HEDGE_ENDS[state] for state in update.hedge_states if state in HEDGE_ENDS]
        for event in events:
            if event == "target_emitted" or self.state == HEDGING:
                self._step(event, self._facts_now(view) if event == "hedge_failed" else None)

    def _facts_now(self, view: StrategyView) -> Facts:
        underlying = view.quote(stock_key(view.symbol))
        return self._facts(view, underlying, self._dimensions(view, underlying))

    def model_price(self, contract_key: str, view: StrategyView) -> float | None:
        """Return the model's price of a managed leg, quote currency per share, or None."""
        key = stock_key(view.symbol)
        underlying = view.quote(key) or view.previous_quote(key)
        if underlying is None:
            return None
        asked = (self.pricer.prices, self.legs, underlying.mid, view.now_ns)
        if asked != self._priced_at:
            # Whoever asks for one leg's price asks for the others', too.
            self._priced_at, self._priced = asked, self.pricer.prices.by_leg(*asked[1:])
        return self._priced.get(contract_key)

    def shares_wanted(self, view: StrategyView) -> Decimal | None:
        """Return the shares to buy (below 0: to sell) for a net delta of 0; None without greeks."""
        if self.net_delta is None:
            return None
        return Decimal(round(-self._option_delta)) - self._stock(view, stock_key(view.symbol))

    # --- what is seen ------------------------------------------------------------------------

    def _watch_market(self, view: StrategyView, key: str, underlying: Quote | None) -> None:
        session = self._now_session = view.session()
        # Quotes that changed nothing may have come since the last call; the last of them is ``previous``.
        previous = view.previous_quote(key)
        if previous is not None and self._counts(previous):
            self.regime.see(previous.ts_ns, previous.mid)
        if session is not None and session is not self._session:
            self._open_session(session)
        now_ns = view.now_ns
        last = underlying or previous
        if last is not None:
            self._last_quote_ns = last.ts_ns
        if underlying is not None and self._counts(underlying):
            self.regime.see(underlying.ts_ns, underlying.mid)
        self.regime.roll(now_ns)
        positions, options = view.positions_version(), view.options_version()
        if positions != self._positions_version:
            self._positions_version = positions
            self._count_shares(view, key)
        if (
            options != self._options_version
            or (self._select_due and self._may_select(underlying))
            or now_ns >= self._next_expiry_ns
            or (self._live_selection and underlying is not None)
        ):
            self._options_version = options
            self._choose_legs(view, underlying)
        if self.pricer.is_told:
            self.pricer.hear(view.broker_greeks(), self._greeks_due_ns(session))
        if underlying is not None:
            self._revalue(underlying.mid, now_ns)
        elif previous is not None:
            # Without a quote the last good greeks stay.
            self._revalue(previous.mid, previous.event_ns)

    def _greeks_due_ns(self, session: Session | None) -> int:
        """Return the time from which the broker's greeks must be renewed: never while the market is shut."""
        if not self._rth_only:
            return 0
        return FAR if session is None else session.open_ns

    def _open_session(self, session: Session) -> None:
        if session != self._session:
            self.regime.open_session(session.open_ns)
            self._select_due = True
        self._session = session

    def _counts(self, quote: Quote) -> bool:
        if not self._rth_only:
            return True
        session = self._session
        return session is not None and session.open_ns <= quote.ts_ns < session.close_ns

    def _may_select(self, underlying: Quote | None) -> bool:
        """Return whether there is a spot by which legs may be chosen: one of the regular session."""
        return underlying is not None and self._may_select_now() and self._counts(underlying)

    def _may_select_now(self) -> bool:
        return self._now_session is not None or not self._rth_only

    def _choose_legs(self, view: StrategyView, underlying: Quote | None) -> None:
        structure = self.config.gates.strategy.structure
        may_select = underlying is not None and self._may_select(underlying)
        spot = underlying.mid if underlying is not None and may_select else None
        anew = (self._select_anew or self._live_selection) and spot is not None
        self.selection = select(view, spot, structure, () if anew else view.legs)
        self.legs = make_legs(view, self.selection.managed)
        self._weights = tuple(leg.weight for leg in self.legs)
        self._next_expiry_ns = min((leg.expiry_ns for leg in self.legs), default=FAR)
        self._bounds_until_ns = 0
        self._select_anew = self._select_anew and spot is None
        unjudged = any(reason == NO_QUOTE for _, reason in self.selection.left_out)
        self._select_due = spot is None and (self._select_anew or unjudged)

    def _revalue(self, spot: float, now_ns: int) -> None:
        self.net_delta, self._gamma, self._option_delta = self._value(spot, now_ns)
        self._delta_known = self._delta_known or self.net_delta is not None

    def _value(self, spot: float, now_ns: int) -> tuple[float | None, float, float]:
        """Return the book's net delta, None if it makes no sense, its gamma, and its options' delta."""
        asked = (self.pricer.prices, self.legs, spot, now_ns)
        if asked != self._valued:
            # Whoever looks at the situation right after the decision gets what it was made with.
            self._valued, self._greeks = asked, self.pricer.prices.delta_and_gamma(self.legs, spot, now_ns)
        totals = self._greeks
        if totals is None:
            return None, self._gamma, self._option_delta
        delta, gamma = totals
        net_delta = delta + self._shares
        return (net_delta if sensible(net_delta, gamma) else None), gamma, delta

    def _count_shares(self, view: StrategyView, key: str) -> None:
        self._own_shares = float(view.own_positions().get(key, 0))
        self._shares = float(self._stock(view, key))

    def _stock(self, view: StrategyView, key: str) -> Decimal:
        stock = view.own_positions().get(key, Decimal(0))
        if self._counts_outside(view):
            stock += view.outside_positions().get(key, Decimal(0))
        return stock

    def _counts_outside(self, view: StrategyView) -> bool:
        asked = self.config.gates.strategy.structure.include_account_stock
        return view.sole_strategy if asked is None else asked

    # --- what follows ------------------------------------------------------------------------

    def _dimensions(self, view: StrategyView, underlying: Quote | None) -> Dimensions:
        return self._dimensions_at(view, underlying, self.net_delta, self._gamma)

    def _dimensions_at(
        self, view: StrategyView, underlying: Quote | None, net_delta: float | None, gamma: float
    ) -> Dimensions:
        return Dimensions(
            option_dimension(self._weights, gamma),
            deviation_dimension(net_delta, self.band),
            "M5" if self._stale(view, underlying) else self.regime.value,
            liquidity_dimension(underlying, self._wide_pct, self._extreme_pct),
            execution_dimension(view.connected, view.hedge_state, EXECUTION),
            system_dimension(
                bool(view.halts), net_delta is not None, self._lag_ms(view, underlying), self._lag_limit_ms
            ),
        )

    def _lag_ms(self, view: StrategyView, underlying: Quote | None) -> float:
        """Return by how much the last tick was later than the underlying's quote, milliseconds.

        Without a quote of the underlying: how late the last good one was when it came.
        """
        if underlying is not None:
            return (view.tick_ns - underlying.ts_ns) / MS
        last = view.previous_quote(stock_key(view.symbol))
        return 0.0 if last is None else (last.event_ns - last.ts_ns) / MS

    def _stale(self, view: StrategyView, underlying: Quote | None) -> bool:
        session = self._now_session
        if session is None:
            return False
        since = max(session.open_ns, self._quoted_ns(view, underlying))
        return (view.now_ns - since) / MS > self._stale_ms

    def _quoted_ns(self, view: StrategyView, underlying: Quote | None) -> int:
        """Return the time of the last good quote of the underlying; without any, the run's start."""
        return underlying.ts_ns if underlying is not None else self._last_quote_ns or view.started_ns

    def _facts(self, view: StrategyView, underlying: Quote | None, dims: Dimensions) -> Facts:
        up, reconciled, halted = view.connected, view.reconciled, dims.system == "S3"
        now_ns = view.now_ns
        data_ok = underlying is not None and dims.market != "M5" and self.net_delta is not None
        limit = self._max_spread_pct
        narrow = underlying is not None and (limit is None or underlying.spread_pct <= limit)
        if not (up and reconciled and data_ok) or halted:
            self._good_since_ns = None
        elif self._good_since_ns is None:
            self._good_since_ns = now_ns
        good_since = self._good_since_ns
        return Facts(
            option=dims.option,
            deviation=dims.deviation,
            positions_ok=reconciled,
            data_ok=data_ok,
            enabled=self.config.enabled,
            delta_ready=self.net_delta is not None,
            liquidity_ok=narrow and dims.liquidity != "L2",
            cost_ok=dims.deviation != "D2" or self._moved_enough(view, underlying),
            retry_allowed=not halted and self._count_left(view),
            broker_up=up,
            recovered=good_since is not None and now_ns - good_since >= self._recovery_ns,
            # An operator lifts a halt, or the rule that ends it; then its cause is gone, too.
            cause_passes=CAUSES.get(self.cause, 1) == 1 or (self.cause in HALTS and not halted),
        )

    def _count_left(self, view: StrategyView) -> bool:
        return view.day_hedges < self.config.gates.guard.risk.max_daily_hedge_count

    def _moved_enough(self, view: StrategyView, underlying: Quote | None) -> bool:
        last = view.last_hedge
        if last is None or last.fill_price is None or view.legs_changed or underlying is None:
            return True
        moved = 100.0 * abs(underlying.mid / float(last.fill_price) - 1.0)
        return moved >= self.config.gates.intent.hedge.min_price_move_pct

    def _step(self, event: str, facts: Facts | None) -> None:
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
        facts = self._facts(view, underlying, dims)
        self._run_machine(view, dims, facts, tick)
        blocked = reasons = self._failing_terms(dims)
        intent = self._intent(view, dims) if tick and not blocked else None
        if intent is None and not blocked:
            blocked = (NO_SHARES,) if tick else ()
            reasons = blocked or (NO_TICK,)
        legs = self.selection.managed
        key = (dims, self.state, view.hedge_state, blocked)
        again, self._last_key = key == self._last_key, key
        hold = None
        if self._rests(dims) or (tick and again and self.state in WAITING and legs == view.legs):
            hold = self._hold(view, underlying, dims, intent)
        return Decision(
            intent=intent,
            key=key,
            explain=partial(explain, self._seen(view, underlying, dims, self.net_delta, reasons)),
            legs=legs if legs != view.legs else None,
            hold=hold,
            waits=not tick and not blocked,
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
        elif self.state == SAFE and self.cause == "broker_down" and TRADING.step(SAFE, "broker_up", facts):
            # A market that is shut sends no tick to end it.
            self._step("broker_up", facts)

    def _alarms(self, view: StrategyView, dims: Dimensions) -> list[str]:
        alarms = []
        if dims.execution == "E3":
            alarms.append("broker_down")
        if dims.market == "M5":
            alarms.append("data_stale")
        # Greeks that never were good are awaited, not bad.
        if dims.deviation == "D4" and self._delta_known:
            alarms.append("greeks_bad")
        if dims.system == "S3":
            alarms.append("strategy_raised" if "strategy_raised" in view.halts else "risk_halt")
        return alarms

    def _tick_until_rest(self, facts: Facts) -> None:
        for _ in TRADING.states:
            to = TRADING.step(self.state, "tick", facts)
            if to is None or to == self.state:
                return
            self._step("tick", facts)

    def _failing_terms(self, dims: Dimensions) -> tuple[str, ...]:
        """Return the code of every term of the hedge condition that fails; the state is one of them."""
        known = self._failing.get((dims, self.state))
        if known is None:
            known = tuple(code for code in dims if code not in HEDGEABLE)
            if self.state != NEED_HEDGE:
                known = (*known, self.state)
            self._failing[dims, self.state] = known
        return known

    def _intent(self, view: StrategyView, dims: Dimensions) -> Intent | None:
        need = self.shares_wanted(view)
        return None if not need else self._intent_for(view, dims, need, self.net_delta)

    def _intent_for(
        self, view: StrategyView, dims: Dimensions, need: Decimal, net_delta: float | None
    ) -> Intent:
        order = self.config.order
        resting = order.order_type == "limit" and not (dims.deviation == "D3" and view.limit_exhausted)
        return Intent(
            contract_key=stock_key(view.symbol),
            side=Side.BUY if need > 0 else Side.SELL,
            quantity=abs(need),
            order_type=OrderType.LIMIT if resting else OrderType.MARKET,
            limit_offset_ticks=order.limit_offset_ticks if resting else 0,
            force=dims.deviation == "D3",
            net_delta=net_delta,
            reason=f"{dims.deviation} {WORDS[dims.deviation]}",
        )

    def _rests(self, dims: Dimensions) -> bool:
        """Return whether a tick would leave the state as it is; after a beat it may not have come yet."""
        return RESTING.get(dims.deviation) == self.state or (self.state == IDLE and not self.legs)

    def _hold(
        self, view: StrategyView, underlying: Quote | None, dims: Dimensions, intent: Intent | None
    ) -> Hold | None:
        if dims.system != "S0" or self._live_selection:
            return None
        if self._select_due and self._may_select_now():
            return None  # the next quote may choose
        if underlying is None or self.net_delta is None or view.stopping:
            return None
        now_ns, mid = view.now_ns, underlying.mid
        bounds = self._bounds
        if now_ns >= self._bounds_until_ns or (bounds is not None and not bounds.cover(mid, now_ns)):
            bounds = self._bounds = self._new_bounds(view, mid, now_ns)
        if bounds is None:
            return None
        intents = None
        if intent is not None:
            intents = partial(self._intents_between, view, dims, bounds, now_ns)
        return hold_range(
            underlying,
            now_ns,
            bounds,
            self.net_delta,
            self.band,
            self._same_cost(view, mid) if dims.deviation == "D2" else EVERYWHERE,
            self._spread_limits,
            int(min(self._lag_limit_ms, self._stale_ms) * MS),
            FAR if self._now_session is None else int(self._stale_ms * MS),
            intents,
        )

    def _same_cost(self, view: StrategyView, mid: float) -> tuple[float, float]:
        """Return the mids around ``mid`` that have moved as little, or as far, since the last hedge."""
        last = view.last_hedge
        if last is None or last.fill_price is None or view.legs_changed:
            return EVERYWHERE
        fill, least = float(last.fill_price), self.config.gates.intent.hedge.min_price_move_pct / 100.0
        inner, outer = least * SAFETY, least / SAFETY
        if 100.0 * abs(mid / fill - 1.0) < self.config.gates.intent.hedge.min_price_move_pct:
            return fill * (1.0 - inner), fill * (1.0 + inner)
        return (fill * (1.0 + outer), inf) if mid > fill else (0.0, fill * (1.0 - outer))

    def _intents_between(
        self,
        view: StrategyView,
        dims: Dimensions,
        bounds: Bounds,
        now_ns: int,
        low: float,
        high: float,
    ) -> tuple[Intent, Intent]:
        """Return the intents with the least and the largest delta at mids in [low, high]; see ``Hold``."""
        stock = self._stock(view, stock_key(view.symbol))
        deltas = [self._net_delta_at(spot, now_ns)[0] for spot in (low, high)]
        aside = bounds.charm * (bounds.until_ns - now_ns) + 1e-9 * sum(map(abs, self._weights))
        ends = [min(deltas) - aside, max(deltas) + aside]
        needs = [Decimal(round(self._shares - net_delta)) - stock for net_delta in ends]
        least, largest = (
            self._intent_for(view, dims, need, end) for need, end in zip(needs, ends, strict=True)
        )
        return least, largest

    def _new_bounds(self, view: StrategyView, spot: float, now_ns: int) -> Bounds | None:
        """Return bounds up to the minute's end, or to what changes the situation before it."""
        volatility, greeks = self.pricer.constant_volatility, self.config.greeks
        # Where no minute counts and nothing decays, only the session's opening changes something.
        idle = self._now_session is None and self._rth_only and not self.legs
        minute_end = FAR if idle else (now_ns // MINUTE_NS + 1) * MINUTE_NS
        until_ns = min(minute_end, view.next_boundary_ns(), self._next_expiry_ns)
        self._bounds_until_ns = until_ns
        if volatility is None:
            return None
        return bounds_of(
            self.legs, spot, now_ns, until_ns, volatility, greeks.risk_free_rate, greeks.dividend_yield
        )

    # --- many quotes at a time -----------------------------------------------------------------

    def cells(self, view: StrategyView) -> Cells | None:
        """Return the map of decisions around the last quote, up to the minute's end; None if there is none.

        Only while a decision holds, and for legs that are all long, or all short.
        """
        key = stock_key(view.symbol)
        quote, bounds = view.quote(key), self._bounds
        if self.state in WAITING or quote is None or bounds is None or not self.legs:
            return None
        if not bounds.cover(quote.mid, view.now_ns):
            return None
        dims = self._dimensions(view, quote)
        if dims.market == "M5":  # a quote that was dropped told the time; the next good one ends it
            return None
        about = (dims[0], dims[2], dims[4:], view.hedge_state, self._shares, self.legs, self.pricer.prices)
        if self._cells is None or self._cells_about != about or bounds is not self._cells_bounds:
            self._cells_about, self._cells_bounds = about, bounds
            self._known_cells = {}
            edges, codes = parts(
                partial(self._net_delta_at, now_ns=view.now_ns),
                bounds,
                view.now_ns,
                self.band,
                sum(map(abs, self._weights)),
            )
            self._cells = Cells(
                contract_key=key,
                edges=edges,
                codes=codes,
                spreads_pct=self._spread_limits,
                until_ns=bounds.until_ns,
                decide=partial(self._decide_in, view, dims),
            )
        return self._cells

    def _net_delta_at(self, spot: float, now_ns: int) -> tuple[float, float]:
        totals = self.pricer.prices.delta_and_gamma(self.legs, spot, now_ns)
        assert totals is not None, "bounds are made with a constant volatility"
        return totals[0] + self._shares, totals[1]

    def _decide_in(self, view: StrategyView, dims: Dimensions, code: int, quote: Quote) -> Decision:
        liquidity = liquidity_dimension(quote, self._wide_pct, self._extreme_pct)
        cell = self._known_cells.get((code, liquidity))
        if cell is None:
            cell = self._known_cells[code, liquidity] = self._cell(view, quote, dims, code, liquidity)
        self.state = cell.state
        explain_it = partial(explain_at, cell, self._shares, quote)
        return Decision(key=(cell.dims, cell.state, cell.hedge_state, cell.blocked), explain=explain_it)

    def _cell(self, view: StrategyView, quote: Quote, dims: Dimensions, code: int, liquidity: str) -> Seen:
        """Return what is seen in a cell, at any quote."""
        dims = dims._replace(deviation=DEVIATIONS[code], liquidity=liquidity)
        self.state = RESTING[dims.deviation]
        return self._seen(view, quote, dims, None, self._failing_terms(dims))

    # --- what is told ------------------------------------------------------------------------

    def describe(self, view: StrategyView) -> Callable[[], Mapping[str, Any]]:
        """Look at the situation as it is now; what is returned tells of it, as ``Decision.explain`` does."""
        # Nothing may be kept of this look: it happens whenever somebody is curious.
        underlying = view.quote(stock_key(view.symbol))
        net_delta, gamma = self.net_delta, self._gamma
        if underlying is not None:
            net_delta, gamma, _ = self._value(underlying.mid, view.now_ns)
        dims = self._dimensions_at(view, underlying, net_delta, gamma)
        return partial(explain, self._seen(view, underlying, dims, net_delta, self._failing_terms(dims)))

    def _seen(
        self,
        view: StrategyView,
        underlying: Quote | None,
        dims: Dimensions,
        net_delta: float | None,
        blocked: tuple[str, ...],
    ) -> Seen:
        return Seen(
            view.now_ns,
            self.state,
            self.cause,
            view.hedge_state,
            dims,
            underlying,
            net_delta,
            self._own_shares,
            self.legs,
            self.selection.left_out,
            self._lag_ms(view, underlying),
            self._quoted_ns(view, underlying),
            view.halts if dims.system == "S3" else (),
            blocked,
            self.band,
            self.config.gates.state,
            self.pricer.prices,
            self._shares - self._own_shares,
        )
