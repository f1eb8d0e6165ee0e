"""What a configuration can say: frozen classes whose attributes are named and nested as the file's keys.

Each attribute carries its default, what is allowed, its unit and one line of help; the
loader's errors, the reference in the documentation and ``bifrost config init`` are made
from these. Nothing here reads a file or knows YAML. Percentages (``_pct``) are percent,
0.1 meaning 0.1 %, but ``atm_band_pct`` is a fraction; rates and volatilities are
fractions; amounts of money are Decimal, in the quote currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

from attrs import Factory, evolve, frozen

from bifrost_engine.config.setting import part, setting
from bifrost_engine.config.strategy import (
    ORDER_RULES,
    DeltaConfig,
    EarningsConfig,
    ExternalClaim,
    FlattenConfig,
    GatesConfig,
    GreeksConfig,
    GuardGatesConfig,
    HedgeConfig,
    IntentGatesConfig,
    LiquidityConfig,
    MarketConfig,
    OrderConfig,
    OrderRule,
    RiskConfig,
    StateGatesConfig,
    StrategyConfig,
    StrategyGatesConfig,
    StructureConfig,
    SystemConfig,
)

__all__ = [
    "LIVE_PORTS",
    "ORDER_RULES",
    "PAPER_PORTS",
    "AccountLimits",
    "AuditConfig",
    "Config",
    "DaemonConfig",
    "DeltaConfig",
    "EarningsConfig",
    "ExternalClaim",
    "FlattenConfig",
    "GatesConfig",
    "GreeksConfig",
    "GuardGatesConfig",
    "HedgeConfig",
    "IntentGatesConfig",
    "JournalConfig",
    "LiquidityConfig",
    "MarketConfig",
    "OmsConfig",
    "OrderConfig",
    "OrderRule",
    "PortfolioConfig",
    "ReconConfig",
    "RecordConfig",
    "RiskConfig",
    "StateGatesConfig",
    "StatusServerConfig",
    "StrategyConfig",
    "StrategyGatesConfig",
    "StructureConfig",
    "SystemConfig",
]

LIVE_PORTS = (7496, 4001)
PAPER_PORTS = (7497, 4002)
"""IB's usual ports: Trader Workstation's first, the gateway's second."""


# --- the account -------------------------------------------------------------------------


@frozen(kw_only=True, cache_hash=True)  # asked for at each beat and intent, by itself
class AccountLimits:
    """Limits over all strategies of the account, checked for every order.

    None is not set: paper trading goes by ``GENEROUS``, live trading is refused (``missing_live_limits``).
    """

    price_collar_pct: float = setting(
        "An order further than this from the mid is refused", 2.0, gt=0, le=100, unit="%"
    )
    max_jump_pct: float = setting(
        "A mid that jumped more within a second refuses orders", 5.0, gt=0, le=100, unit="%"
    )
    duplicate_window_seconds: float = setting(
        "An equal order within this time, the first without progress, is refused",
        2.0,
        gt=0,
        le=3600,
        unit="s",
    )
    max_orders_per_minute: int = setting("Orders of the account per minute", 20, ge=1)
    max_orders_per_day: int = setting("Orders of the account per trading day", 500, ge=1)
    max_order_shares: int | None = setting(
        "Largest single order; live trading needs it", None, ge=1, unit="shares", live=True
    )
    max_order_notional: Decimal | None = setting(
        "Largest value of a single order; live trading needs it", None, gt=0, unit="USD", live=True
    )
    max_daily_notional: Decimal | None = setting(
        "Largest value of a trading day's orders; live trading needs it", None, gt=0, unit="USD", live=True
    )
    max_gross_notional: Decimal | None = setting(
        "Largest sum of |position values|; live trading needs it", None, gt=0, unit="USD", live=True
    )
    max_net_notional: Decimal | None = setting(
        "Largest |sum of position values|; live trading needs it", None, gt=0, unit="USD", live=True
    )
    max_repeats: int = setting("Hedges in a row without progress that halt their strategy", 3, ge=1)
    restricted_symbols: tuple[str, ...] = setting("Symbols that are never traded", ())
    max_account_loss_usd: Decimal | None = setting(
        "A day's loss of this much halts the account; live trading needs it",
        None,
        gt=0,
        unit="USD",
        live=True,
    )

    @property
    def or_generous(self) -> AccountLimits:
        """Return the limits with generous ones in place of those that aren't set."""
        return _generous(self)


GENEROUS: Mapping[str, Any] = {
    "max_order_shares": 100_000,
    "max_order_notional": Decimal(50_000_000),
    "max_daily_notional": Decimal(5_000_000_000),
    "max_gross_notional": Decimal(500_000_000),
    "max_net_notional": Decimal(500_000_000),
    "max_account_loss_usd": Decimal(10_000_000),
}
"""Limits of paper trading where the file sets none."""


@lru_cache(maxsize=8)
def _generous(limits: AccountLimits) -> AccountLimits:
    unset = {name: limit for name, limit in GENEROUS.items() if getattr(limits, name) is None}
    return evolve(limits, **unset)


# --- the daemon and its parts --------------------------------------------------------------


@frozen(kw_only=True)
class DaemonConfig:
    """The process."""

    instance: str = setting(
        "Name of this daemon; each has its own folder of state",
        "default",
        pattern=r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}",
        form="1 to 32 letters, digits, _ and -",
    )
    heartbeat_interval: int = setting("Time between beats", 10, ge=5, le=120, unit="s")
    ib_retry_interval: float = setting(
        "Longest time between attempts to reach the broker", 30.0, ge=1, le=3600, unit="s"
    )
    accounts_refresh_interval: float = setting(
        "Time between refreshes of the accounts", 3600.0, ge=10, le=86_400, unit="s"
    )
    state_dir: str | None = setting("Folder of the state; null: the user's state directory", None)
    shutdown_grace_seconds: float = setting(
        "Time for cancels to be answered when stopping", 5.0, ge=0, le=8, unit="s"
    )
    lock_silence_seconds: float = setting(
        "While another daemon stands by: so long after the database's last answer no order leaves",
        15.0,
        ge=2,
        le=300,
        unit="s",
    )
    takeover_wait_seconds: float = setting(
        "A standby that took over sends nothing before; at least twice lock_silence_seconds, on both hosts",
        30.0,
        ge=4,
        le=600,
        unit="s",
    )
    metrics_host: str = setting("Address on which figures for Prometheus are served", "127.0.0.1")
    metrics_port: int | None = setting(
        "Port for them, 0: a free one; null: none are served", None, ge=0, le=65_535
    )


@frozen(kw_only=True)
class StatusServerConfig:
    """Where the monitor listens."""

    host: str = setting("Address to listen on", "127.0.0.1")
    port: int = setting("Port to listen on", 8765, ge=0, le=65_535)


@frozen(kw_only=True)
class OmsConfig:
    """Order management."""

    ack_timeout: float = setting("Then an unanswered order is UNKNOWN", 10.0, gt=0, le=600, unit="s")
    cancel_timeout: float = setting(
        "Then an unanswered cancel is UNKNOWN, and sent again if the order still works",
        10.0,
        ge=2,
        le=600,
        unit="s",
    )
    replace_timeout: float = setting("Then an unanswered change is UNKNOWN", 10.0, gt=0, le=600, unit="s")
    park: float = setting("How long an event of an unknown order waits for it", 2.0, ge=0, le=60, unit="s")
    fill_gap_timer: float = setting(
        "How long a fill that the status tells of may be missing", 3.0, gt=0, le=600, unit="s"
    )
    overfill_auto_ack: bool = setting("Go on after an over-fill once broker and books agree", False)
    self_cross: Literal["deny", "allow"] = setting(
        "Orders that could trade with an own order of another strategy", "deny"
    )
    on_error: Literal["hold", "cancel"] = setting(
        "hold: a strategy that raises is held; cancel: its orders are cancelled, too", "hold"
    )
    stop_cancel_open: Literal["hedges", "all", "none"] = setting(
        "Which working orders a stop cancels", "hedges"
    )


@frozen(kw_only=True)
class ReconConfig:
    """Comparison of our books with the broker's."""

    proof_gap: float = setting(
        "Least time between two looks that prove an absence", 5.0, gt=0, le=600, unit="s"
    )
    min_age: float = setting("Younger orders are not judged", 10.0, ge=0, le=600, unit="s")
    periodic: float = setting("Time between passes", 300.0, ge=5, le=86_400, unit="s")
    periodic_in_flight: float = setting(
        "Time between passes while an order is in flight", 60.0, ge=5, le=86_400, unit="s"
    )


@frozen(kw_only=True)
class JournalConfig:
    """The journal on disk."""

    retain_days: int = setting(
        "Days for which records stay that all sinks have", 30, ge=1, le=36_500, unit="days"
    )
    allow_unjournaled_cancel: bool = setting("Let cancels leave while the disk is full", True)


@frozen(kw_only=True)
class RecordConfig:
    """Recording of quotes, for later replays."""

    quotes: bool = setting("Record each quote that the feed brings; needs pyarrow", False)
    dir: str | None = setting("Folder for them; null: recordings in the instance's folder", None)


@frozen(kw_only=True)
class PortfolioConfig:
    """Positions and profit."""

    roll_time: str = setting(
        "Time of day at which a trading day ends",
        "17:00",
        pattern=r"([01][0-9]|2[0-3]):[0-5][0-9]",
        form="a time such as 17:00",
    )
    roll_tz: str = setting("Time zone of roll_time", "America/New_York")
    mark_max_age: float = setting("Older marks count as stale in session", 60.0, gt=0, le=86_400, unit="s")
    snapshot_interval: float = setting("Time between recorded snapshots", 60.0, ge=1, le=86_400, unit="s")


@frozen(kw_only=True)
class AuditConfig:
    """The trail of decisions."""

    require_sink: bool = setting(
        "Refuse to start without a sink that keeps the trail, and hold new risk while none does", False
    )


# --- the whole ---------------------------------------------------------------------------


@frozen(kw_only=True)
class Config:
    """A whole, valid configuration.

    feed      None: the broker's own; see ``feed_name``
    sinks     names of sinks, none for none
    status    section of each sink, unchecked: its plugin's ``Config`` says what it accepts
    sections  section of each other plugin (``ib``, ``paper``, ``sim``, …), unchecked likewise
    """

    strategies: tuple[StrategyConfig, ...] = setting("Strategy instances", (), in_file=False)
    broker: str = setting(
        "Broker plugin; without this key ib where there is an ib section, else paper", "paper"
    )
    feed: str | None = setting("Feed plugin, such as sim or replay:PATH; null: the broker's own", None)
    sinks: tuple[str, ...] = setting("Sinks", (), in_file=False)
    status: Mapping[str, Any] = setting("Sections of sinks", Factory(dict), in_file=False)
    status_server: StatusServerConfig = part(StatusServerConfig, "Where the monitor listens")
    daemon: DaemonConfig = part(DaemonConfig, "The process")
    account: AccountLimits = part(AccountLimits, "Limits over all strategies of the account")
    oms: OmsConfig = part(OmsConfig, "Order management")
    recon: ReconConfig = part(ReconConfig, "Comparison of our books with the broker's")
    journal: JournalConfig = part(JournalConfig, "The journal on disk")
    record: RecordConfig = part(RecordConfig, "Recording of quotes")
    portfolio: PortfolioConfig = part(PortfolioConfig, "Positions and profit")
    audit: AuditConfig = part(AuditConfig, "The trail of decisions")
    sections: Mapping[str, Any] = setting("Sections of plugins", Factory(dict), in_file=False)

    @property
    def feed_name(self) -> str:
        """Return the feed to use: the one asked for, else the broker's (``sim`` for ``paper``)."""
        return self.feed or ("sim" if self.broker == "paper" else self.broker)

    def strategy(self, strategy_id: str) -> StrategyConfig:
        """Return the strategy of that id; KeyError without one."""
        for strategy in self.strategies:
            if strategy.id == strategy_id:
                return strategy
        raise KeyError(strategy_id)

    def with_strategy(self, changed: StrategyConfig) -> Config:
        """Return a copy in which ``changed`` replaces the strategy of its id."""
        return evolve(self, strategies=tuple(changed if s.id == changed.id else s for s in self.strategies))
