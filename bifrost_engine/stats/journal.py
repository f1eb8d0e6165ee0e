"""Facts from a journal's records, oldest first; each is read once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bifrost_engine.domain.contract import SecType, parse_contract_key
from bifrost_engine.domain.fill import EXTERNAL
from bifrost_engine.domain.order import Purpose
from bifrost_engine.domain.record import Record
from bifrost_engine.journal.attribution import Slippage
from bifrost_engine.journal.story import VETOED, Decisions, Span, codes_of
from bifrost_engine.stats.facts import Charge, Fact, Sent, Stretch, Trade, Worth, trade


def facts(records: Iterable[Record]) -> Iterator[Fact]:
    """Yield what a journal's records say."""
    reading = _Reading()
    for record in records:
        yield from reading.take(record)
    yield from reading.end()


class _Reading:
    def __init__(self) -> None:
        self._decisions = Decisions()
        self._ended: dict[str, int] = {}
        self._slippage = Slippage()
        self._purposes: dict[str, str] = {}
        self._last_ns = 0

    def take(self, record: Record) -> Iterator[Fact]:
        self._last_ns = record.ts_ns
        span = self._decisions.take(record)
        if span is not None:
            yield self._stretch(span, record.ts_ns)
        if record.kind in Slippage.KINDS:
            self._slippage.take(record)
        made = _KINDS.get(record.kind)
        if made is not None:
            yield from made(self, record)

    def end(self) -> Iterator[Fact]:
        for span in self._decisions.latest.values():
            yield self._stretch(span, self._last_ns)

    def _stretch(self, span: Span, until_ns: int) -> Stretch:
        until_ns = min(until_ns, self._ended.get(span.signal["run_id"], until_ns))
        codes: tuple[str, ...] = ()
        if span.risk is not None:
            codes = codes_of(gate for gate, *_ in span.gates(VETOED)) if span.order is None else ()
        elif span.order is None:
            codes = codes_of(span.signal["reasons"])
        state = span.signal["facts"].get("trading_state")
        first_us = span.first_ns // 1000
        return Stretch(span.strategy_id, first_us, max(first_us, until_ns // 1000), span.count, state, codes)

    def _on_run_end(self, record: Record) -> Iterator[Fact]:
        payload = record.payload
        self._ended[payload["run_id"]] = payload.get("end_ns") or record.ts_ns
        return iter(())

    def _on_order_event(self, record: Record) -> Iterator[Fact]:
        payload = record.payload
        if payload["event"] == "SUBMIT":
            order = payload["order"]
            self._purposes[order["client_order_id"]] = order["purpose"]
            if order["purpose"] == Purpose.HEDGE:
                yield Sent(order["strategy_id"], record.ts_ns // 1000)

    def _on_fill(self, record: Record) -> Iterator[Trade]:
        payload, coid = record.payload, record.client_order_id
        if coid and payload["owner"] != EXTERNAL:
            known = payload["commission"]
            yield trade(
                strategy_id=payload["owner"],
                ts_us=record.ts_ns // 1000,
                execution=payload["base_id"],
                client_order_id=coid,
                is_hedge=self._purposes.get(coid) == Purpose.HEDGE,
                is_stock=parse_contract_key(payload["contract_key"]).sec_type is SecType.STOCK,
                is_buy=payload["side"] == "BUY",
                quantity=float(payload["quantity"]),
                price=float(payload["price"]),
                multiplier=float(payload["multiplier"]),
                mid=self._slippage.mid(coid),
                commission=None if known is None else float(known),
            )

    def _on_commission(self, record: Record) -> Iterator[Charge]:
        yield Charge(record.payload["base_id"], float(record.payload["commission"]))

    def _on_portfolio(self, record: Record) -> Iterator[Worth]:
        payload = record.payload
        if record.strategy_id is not None:
            pnl = payload.get("daily_pnl")
            known = None if pnl is None else float(pnl)
            yield Worth(record.strategy_id, payload["trading_day"], known, payload["trigger"] == "FILL")


_KINDS = {
    "run_end": _Reading._on_run_end,
    "order_event": _Reading._on_order_event,
    "fill": _Reading._on_fill,
    "commission": _Reading._on_commission,
    "portfolio": _Reading._on_portfolio,
}
