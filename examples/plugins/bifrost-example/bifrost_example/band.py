"""A strategy that keeps its own position in the stock within a band around a target.

It shows the shape of every strategy: read the view, answer with a decision. It sees no
clock but the view's, keeps nothing from one tick to the next, and can't reach a broker;
what it wants passes the gates before it becomes an order.
"""

from __future__ import annotations

from decimal import Decimal

from attrs import field, frozen

from bifrost_engine.domain import Decision, Intent, Purpose, Quote, Side
from bifrost_engine.domain.contract import stock_key
from bifrost_engine.domain.view import StrategyView
from bifrost_engine.hookspecs import PluginContext, hookimpl


@frozen(kw_only=True)
class BandConfig:
    """The strategy's own keys in its entry under ``strategies``; the others are Bifrost's."""

    target: Decimal = field(metadata={"help": "shares to hold; below 0 for short"})
    band: Decimal = field(default=Decimal(0), metadata={"help": "shares it may be off", "ge": 0})


class BandStrategy:
    """Buys or sells what is missing, once the position is outside the band."""

    hook_version = "1.0"
    Config = BandConfig

    def __init__(self, config: BandConfig, context: PluginContext) -> None:
        self.config = config

    @hookimpl
    def on_tick(self, quote: Quote, view: StrategyView) -> Decision | None:
        """Return what to do about the position, or None for a quote of another contract."""
        key = stock_key(view.symbol)
        if quote.contract_key != key:
            return None
        held = view.own_positions().get(key, Decimal(0))
        missing = self.config.target - held
        if abs(missing) <= self.config.band:
            return Decision(key=("IN_BAND",), explain=lambda: self._facts(held, "IN_BAND"))
        intent = Intent(
            contract_key=key,
            side=Side.BUY if missing > 0 else Side.SELL,
            quantity=abs(missing),
            purpose=Purpose.HEDGE,
            reason="OUT_OF_BAND",
        )
        return Decision(intent=intent, key=("OUT_OF_BAND",), explain=lambda: self._facts(held, "OUT_OF_BAND"))

    def _facts(self, held: Decimal, state: str) -> dict[str, object]:
        """Return what stands behind a decision, for the audit trail."""
        return {"held": str(held), "target": str(self.config.target), "reasons": [state]}
