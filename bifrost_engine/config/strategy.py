"""What one strategy instance can be told: its gates, model, orders and limits.

Part of the schema (``bifrost_engine.config.schema``), which has all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from attrs import Factory, frozen

from bifrost_engine.config.setting import part, setting

# --- gates.strategy ----------------------------------------------------------------------


@frozen(kw_only=True)
class StructureConfig:
    """Which option legs the strategy manages."""

    min_dte: int = setting("Fewest calendar days to expiry of a managed leg", 21, ge=0, le=3650, unit="days")
    max_dte: int = setting("Most calendar days to expiry of a managed leg", 35, ge=0, le=3650, unit="days")
    atm_band_pct: float = setting(
        "Largest |strike/spot - 1| of a managed leg, a fraction", 0.03, gt=0, le=1, unit="fraction"
    )
    selection: Literal["sticky", "live"] = setting(
        "sticky: a leg once managed stays so until closed or expired; live: judged anew at each quote",
        "sticky",
    )
    include_account_stock: bool | None = setting(
        "Count shares that the account holds outside the strategy; null: decided by the kind of account",
        None,
    )


@frozen(kw_only=True)
class EarningsConfig:
    """When earnings keep the strategy from hedging."""

    blackout_days_before: int = setting(
        "Calendar days before an earnings date without hedges", 3, ge=0, le=60, unit="days"
    )
    blackout_days_after: int = setting(
        "Calendar days after an earnings date without hedges", 1, ge=0, le=60, unit="days"
    )
    dates: tuple[date, ...] = setting("Earnings dates, such as [2026-02-25]", ())


@frozen(kw_only=True)
class StrategyGatesConfig:
    """What is traded, and on which days."""

    structure: StructureConfig = part(StructureConfig, "Which option legs the strategy manages")
    earnings: EarningsConfig = part(EarningsConfig, "Blackout around earnings")
    trading_hours_only: bool = setting("Hedge only in the exchange's regular session", True)


# --- gates.state -------------------------------------------------------------------------


@frozen(kw_only=True)
class DeltaConfig:
    """Thresholds on the book's net delta, share equivalents."""

    epsilon_band: float = setting("Up to this |net delta| nothing is done", 10.0, ge=0, unit="shares")
    threshold_hedge_shares: float = setting("From this |net delta| a hedge is due", 25.0, gt=0, unit="shares")
    max_delta_limit: float = setting("From this |net delta| a hedge is forced", 500.0, gt=0, unit="shares")


@frozen(kw_only=True)
class MarketConfig:
    """Thresholds that tell the market's regime."""

    vol_window_min: int = setting(
        "Completed minutes that are looked back on", 5, ge=1, le=390, unit="minutes"
    )
    stale_ts_threshold_ms: int = setting(
        "Older quotes of the underlying are stale", 5000, gt=0, le=3_600_000, unit="ms"
    )
    gap_open_pct: float = setting(
        "A first minute further than this from the previous close is a gap", 2.0, gt=0, le=100, unit="%"
    )
    gap_step_pct: float = setting(
        "A larger jump between mids of consecutive minutes is a gap", 1.0, gt=0, le=100, unit="%"
    )
    choppy_stdev_pct: float = setting(
        "Larger standard deviation over mean, with a flat slope: choppy", 2.0, gt=0, le=100, unit="%"
    )
    choppy_slope_pct: float = setting(
        "A slope below this is flat enough for choppy", 0.1, gt=0, le=100, unit="% per minute"
    )
    trend_slope_pct: float = setting("A steeper slope is a trend", 0.5, gt=0, le=100, unit="% per minute")
    quiet_stdev_pct: float = setting(
        "Smaller standard deviation over mean: quiet", 0.5, gt=0, le=100, unit="%"
    )


@frozen(kw_only=True)
class LiquidityConfig:
    """Thresholds on the underlying's spread, 100 * (ask - bid) / mid."""

    wide_spread_pct: float = setting("From this spread the market is wide", 0.1, gt=0, le=100, unit="%")
    extreme_spread_pct: float = setting(
        "From this spread the market is too wide to hedge", 0.5, gt=0, le=100, unit="%"
    )


@frozen(kw_only=True)
class SystemConfig:
    """Thresholds on the daemon's own health."""

    data_lag_threshold_ms: int = setting(
        "A larger lag of the quotes stops hedging", 1000, gt=0, le=3_600_000, unit="ms"
    )
    safe_recovery_seconds: float = setting(
        "How long all must be well before SAFE is left", 5.0, ge=0, le=3600, unit="s"
    )


@frozen(kw_only=True)
class StateGatesConfig:
    """Thresholds of the state's dimensions."""

    delta: DeltaConfig = part(DeltaConfig, "Net delta of the book")
    market: MarketConfig = part(MarketConfig, "Regime of the market")
    liquidity: LiquidityConfig = part(LiquidityConfig, "Spread of the underlying")
    system: SystemConfig = part(SystemConfig, "Health of data and daemon")


# --- gates.intent, gates.guard ------------------------------------------------------------


@frozen(kw_only=True)
class HedgeConfig:
    """Size and pace of hedges."""

    min_hedge_shares: int = setting("Smaller hedges are not sent", 10, ge=1, unit="shares")
    cooldown_seconds: float = setting(
        "Time between hedges; a forced one doesn't wait", 60.0, ge=0, le=86_400, unit="s"
    )
    max_hedge_shares_per_order: int = setting("Larger hedges are cut to this", 500, ge=1, unit="shares")
    min_price_move_pct: float = setting(
        "Least move of the mid from the last hedge's price; a forced one doesn't need it",
        0.2,
        ge=0,
        le=100,
        unit="%",
    )


@frozen(kw_only=True)
class IntentGatesConfig:
    """Limits on what a single hedge may be."""

    hedge: HedgeConfig = part(HedgeConfig, "Size and pace of hedges")


@frozen(kw_only=True)
class RiskConfig:
    """Limits on what the strategy may do in a day."""

    max_daily_hedge_count: int = setting("Hedges per trading day", 50, ge=0)
    max_position_shares: int = setting(
        "Largest own stock position, all working orders filled", 2000, ge=0, unit="shares"
    )
    max_daily_loss_usd: Decimal = setting(
        "A day's loss of this much stops the strategy", Decimal(5000), gt=0, unit="USD"
    )
    max_net_delta_shares: float | None = setting(
        "From this |net delta| a hedge is forced; null: only max_delta_limit", None, gt=0, unit="shares"
    )
    max_spread_pct: float | None = setting(
        "No hedge at a wider spread; null: no such limit", None, gt=0, le=100, unit="%"
    )
    paper_trade: bool = setting("Refuse live ports and live accounts", True)


@frozen(kw_only=True)
class GuardGatesConfig:
    """The last gates before an order."""

    risk: RiskConfig = part(RiskConfig, "Limits of the strategy")


@frozen(kw_only=True)
class GatesConfig:
    """Everything that can keep a hedge from being sent, in the order in which it is asked."""

    strategy: StrategyGatesConfig = part(StrategyGatesConfig, "What is traded, and on which days")
    state: StateGatesConfig = part(StateGatesConfig, "Thresholds of the state's dimensions")
    intent: IntentGatesConfig = part(IntentGatesConfig, "Size and pace of hedges")
    guard: GuardGatesConfig = part(GuardGatesConfig, "Limits of the strategy")


# --- the strategy ------------------------------------------------------------------------


@frozen(kw_only=True)
class GreeksConfig:
    """Inputs of the pricing model."""

    risk_free_rate: float = setting("Continuous rate per year", 0.05, ge=-0.1, le=1, unit="fraction")
    dividend_yield: float = setting("Continuous yield per year", 0.0, ge=-0.1, le=1, unit="fraction")
    volatility: float | Literal["implied"] = setting(
        "Volatility per year, or implied: solved from each option's mid", 0.35, gt=0, le=5, unit="fraction"
    )
    model: Literal["black_scholes", "baw"] = setting(
        "black_scholes: European exercise; baw: American (Barone-Adesi and Whaley)", "black_scholes"
    )
    use_broker_greeks: bool = setting(
        "Delta and gamma as the broker tells them, instead of the model's; greeks are bad without them", False
    )
    broker_greeks_max_age: float = setting(
        "The broker's greeks count no longer, in session", 30.0, gt=0, le=3600, unit="s"
    )


@frozen(kw_only=True)
class OrderConfig:
    """How a hedge is sent."""

    order_type: Literal["market", "limit"] = setting("Type of hedge orders", "market")
    limit_offset_ticks: int = setting(
        "A limit buy is at mid + this, a sell at mid - it", 0, ge=-1000, le=1000, unit="ticks"
    )
    working_timeout_seconds: float = setting(
        "Then a limit order is priced anew, a market order cancelled", 5.0, gt=0, le=3600, unit="s"
    )
    max_reprices: int = setting("New prices for one order, then it is cancelled", 3, ge=0, le=100)


@frozen(kw_only=True)
class FlattenConfig:
    """What the operator's flatten does."""

    to: Literal["zero", "delta_neutral"] = setting(
        "zero: sell the strategy's stock; delta_neutral: hedge to zero delta once more", "zero"
    )


@frozen(kw_only=True)
class ExternalClaim:
    """Part of the account's outside holdings that the strategy takes over, once.

    qty  signed: shares or contracts
    """

    instrument: str = setting(
        "Contract key, such as NVDA|STK|||",
        pattern=r"[^|]+\|[A-Z]+\|[^|]*\|[^|]*\|[CP]?(\|[^|]+)?",
        form="a contract key such as NVDA|STK|||",
    )
    qty: Decimal = setting("Signed quantity", unit="shares or contracts")


@frozen(kw_only=True)
class StrategyConfig:
    """One strategy instance: its own underlying, book and limits.

    options  the keys that Bifrost doesn't know, for a strategy plugin to check; empty for gamma
    """

    id: str = setting(
        "Name of the instance, part of its orders' ids, never changed while it holds a position",
        "gamma",
        pattern=r"[a-z][a-z0-9-]{0,15}",
        form="1 to 16 of a-z, 0-9 and -, beginning with a letter",
    )
    use: str = setting("Strategy plugin", "gamma")
    symbol: str = setting(
        "Ticker of the underlying",
        "",
        pattern=r"([A-Za-z0-9][A-Za-z0-9 ./_-]{0,31})?",
        form="a ticker such as NVDA",
    )
    enabled: bool = setting("false: the strategy watches, and proposes nothing", True)
    gates: GatesConfig = part(GatesConfig, "What can keep a hedge from being sent")
    greeks: GreeksConfig = part(GreeksConfig, "Inputs of the pricing model")
    order: OrderConfig = part(OrderConfig, "How a hedge is sent")
    flatten: FlattenConfig = part(FlattenConfig, "What flatten does")
    claims: tuple[str, ...] = setting("Ids of removed strategies whose books this one takes over", ())
    claims_external: tuple[ExternalClaim, ...] = setting(
        "Outside holdings that this strategy takes over, once: {instrument, qty}", (), one_or_many=True
    )
    max_notional: Decimal | None = setting(
        "Largest |position value|, all working orders filled; null: no limit", None, gt=0, unit="USD"
    )
    max_orders_per_minute: int | None = setting(
        "Orders of this strategy per minute; null: only the account's limit", None, ge=1
    )
    max_consecutive_rejects: int = setting(
        "Rejections by the broker in a row that put the strategy on hold", 3, ge=1
    )
    allowed_instruments: tuple[str, ...] | None = setting(
        "Contract keys that it may trade; null: those of its symbol", None
    )
    options: Mapping[str, Any] = setting("Keys of a strategy plugin", Factory(dict), in_file=False)


# --- rules between keys --------------------------------------------------------------------


@frozen
class OrderRule:
    """Two keys of a strategy, the first of which must be below the second.

    strict  equal values are refused too
    """

    lower: str
    upper: str
    strict: bool = True


ORDER_RULES = (
    OrderRule("gates.state.delta.epsilon_band", "gates.state.delta.threshold_hedge_shares"),
    OrderRule("gates.state.delta.threshold_hedge_shares", "gates.state.delta.max_delta_limit"),
    OrderRule("gates.state.liquidity.wide_spread_pct", "gates.state.liquidity.extreme_spread_pct"),
    OrderRule("gates.strategy.structure.min_dte", "gates.strategy.structure.max_dte", strict=False),
    OrderRule(
        "gates.intent.hedge.min_hedge_shares", "gates.state.delta.threshold_hedge_shares", strict=False
    ),
    OrderRule(
        "gates.intent.hedge.min_hedge_shares", "gates.intent.hedge.max_hedge_shares_per_order", strict=False
    ),
    OrderRule("gates.state.delta.epsilon_band", "gates.guard.risk.max_net_delta_shares"),
)
"""Rules that are checked where both values are set."""
