"""The far side: what the broker does with an order once it has arrived.

Checks it, lets it match, books what fills, ends what is over. Each method is told the
time and returns what there is to report; how late that reaches us, and whether at all,
is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random

from bifrost_engine.domain import (
    BrokerEventKind,
    Contract,
    OrderType,
    Quote,
    ReplaceRequest,
    Right,
    Side,
    TimeInForce,
    to_decimal,
)
from bifrost_paper.account import ZERO, DayEnds
from bifrost_paper.config import FaultKind, PaperConfig
from bifrost_paper.faults import Faults
from bifrost_paper.ledger import Ledger
from bifrost_paper.matching import Happening, MatchingBook, Result
from bifrost_paper.orders import PaperOrder, Report, Status

Kind = BrokerEventKind


class Venue:
    """Matching with an account behind it."""

    def __init__(self, config: PaperConfig, ledger: Ledger, faults: Faults, random: Random) -> None:
        self.ledger = ledger
        self.book = MatchingBook(
            walk=config.market_order_rest == "walk",
            walk_ticks=config.walk_ticks,
            walk_levels=config.walk_levels,
            no_quote=config.no_quote,
        )
        self._config = config
        self._faults = faults
        self._random = random
        self._day_ends = DayEnds(config.day_end, config.zone)
        for order in ledger.orders.values():
            if order.status is Status.OPEN:
                self.book.restore(order.for_matching())

    def mark(self, contract_key: str) -> Decimal | None:
        """Return the mid of a contract's two-sided quote, or None."""
        if self.book.is_halted(contract_key):
            return None
        return to_decimal(self.book.quotes[contract_key].mid)

    def touch(self, contract_key: str, side: Side) -> Decimal | None:
        """Return what a unit costs who trades on ``side`` at once, or None without a two-sided quote."""
        if self.book.is_halted(contract_key):
            return None
        quote = self.book.quotes[contract_key]
        return to_decimal(quote.ask if side is Side.BUY else quote.bid)

    # --- requests ----------------------------------------------------------------------

    def adopt(self, order: PaperOrder) -> None:
        """Let an order work that was on its way when the connection ended."""
        self._work(order, order.placed_ns)
        self.book.restore(order.for_matching())

    def arrive(self, order: PaperOrder, now_ns: int) -> list[Report]:
        """Take an order: an ack and what fills at once, or a rejection."""
        code = self._fault_in(order)
        if code is not None:
            return [self._reject(order, code, now_ns)]
        reports = self._apply(self.book.submit(order.for_matching()), now_ns)
        if self._faults.take(FaultKind.FALSE_CANCEL, order):
            reports.insert(1, Report(Kind.ORDER_CANCELED, order, "FALSE_CANCEL"))
        return reports

    def cancel(self, order: PaperOrder, now_ns: int) -> list[Report]:
        """Cancel an order if it still works."""
        if self._faults.take(FaultKind.REFUSE_CANCEL, order):
            return [Report(Kind.CANCEL_REJECTED, order, "REFUSED", "the venue refuses to cancel")]
        return self._apply(self.book.cancel(order.request.client_order_id), now_ns)

    def replace(self, order: PaperOrder, request: ReplaceRequest, now_ns: int) -> list[Report]:
        """Change an order's terms if it still works and the new ones are good."""
        limit_price = order.limit_price if request.limit_price is None else request.limit_price
        code = self._bad_terms(order, request.quantity, limit_price)
        if order.status is Status.OPEN and code is not None:
            return [Report(Kind.REPLACE_REJECTED, order, code, TEXTS[code])]
        results = self.book.replace(order.request.client_order_id, request.quantity, request.limit_price)
        if results[0].happening is Happening.REFUSED:
            return [Report(Kind.REPLACE_REJECTED, order, f"ALREADY_{order.status}")]
        order.limit_price = limit_price
        return self._apply(results, now_ns)

    def on_quote(self, quote: Quote, now_ns: int) -> list[Report]:
        """Match what works in the quote's contract."""
        return self._apply(self.book.on_quote(quote), now_ns)

    # --- checks ------------------------------------------------------------------------

    def _fault_in(self, order: PaperOrder) -> str | None:
        """Return the code with which an order is refused, or None."""
        fault = self._faults.take(FaultKind.REJECT, order)
        if fault is not None:
            return fault.code
        if self._config.reject_rate and self._random.random() < self._config.reject_rate:
            return "RANDOM"
        key = order.request.contract.key
        if key not in self.book.quotes and not self.ledger.account.quantity(key):
            return "UNKNOWN_CONTRACT"
        return self._bad_terms(order, order.quantity, order.limit_price)

    def _bad_terms(self, order: PaperOrder, quantity: Decimal, limit_price: Decimal | None) -> str | None:
        largest = self._config.max_order_quantity
        if quantity <= 0 or (largest is not None and quantity > largest):
            return "SIZE"
        if (limit_price is None) is not (order.request.order_type is OrderType.MARKET):
            return "PRICE"
        if limit_price is not None and (limit_price <= 0 or limit_price % order.request.contract.tick_size):
            return "PRICE"
        return "BUYING_POWER" if self._too_large(order, quantity - order.filled, limit_price) else None

    def _too_large(self, order: PaperOrder, quantity: Decimal, limit_price: Decimal | None) -> bool:
        """Return whether a larger position than now would cost more than the account may hold."""
        leverage, contract = self._config.leverage, order.request.contract
        price = self.mark(contract.key) if limit_price is None else limit_price
        if leverage is None or price is None:
            return False
        before = self.ledger.account.quantity(contract.key)
        more = abs(before + order.request.side.sign * quantity) - abs(before)
        if more <= 0:
            return False
        account = self.ledger.account
        return account.gross(self.mark) + more * price * contract.multiplier > leverage * (
            account.net_liquidation(self.mark)
        )

    # --- results -----------------------------------------------------------------------

    def _apply(self, results: list[Result], now_ns: int) -> list[Report]:
        orders = self.ledger.orders
        return [APPLY[result.happening](self, orders[result.order_id], result, now_ns) for result in results]

    def _accept(self, order: PaperOrder, result: Result, now_ns: int) -> Report:
        self._work(order, now_ns)
        return Report(Kind.ORDER_ACK, order)

    def _work(self, order: PaperOrder, now_ns: int) -> None:
        order.status = Status.OPEN
        if order.request.time_in_force is TimeInForce.DAY:
            order.ends_ns = self._day_ends.after(now_ns)
        self.ledger.keep(order)

    def _fill(self, order: PaperOrder, result: Result, now_ns: int) -> Report:
        quantity = result.quantity
        if result.left <= 0:
            fault = self._faults.take(FaultKind.OVERFILL, order)
            quantity += fault.quantity if fault else ZERO
        execution = self.ledger.execute(order, quantity, result.price, now_ns)
        if result.left <= 0:
            self.ledger.end(order, Status.FILLED, now_ns)
        return Report(Kind.ORDER_FILL, order, execution=execution)

    def _canceled(self, order: PaperOrder, result: Result, now_ns: int) -> Report:
        self.ledger.end(order, Status.CANCELED, now_ns, result.code)
        return Report(Kind.ORDER_CANCELED, order, result.code or None)

    def _replaced(self, order: PaperOrder, result: Result, now_ns: int) -> Report:
        order.quantity = result.quantity
        self.ledger.keep(order)
        if result.left <= 0:
            self.ledger.end(order, Status.FILLED, now_ns)
        return Report(Kind.ORDER_REPLACED, order, quantity=result.quantity, limit_price=order.limit_price)

    def _rejected(self, order: PaperOrder, result: Result, now_ns: int) -> Report:
        return self._reject(order, result.code, now_ns)

    def _reject(self, order: PaperOrder, code: str, now_ns: int) -> Report:
        text = TEXTS.get(code, "refused")
        self.ledger.end(order, Status.REJECTED, now_ns, f"{code}: {text}")
        return Report(Kind.ORDER_REJECTED, order, code, text)

    def _refused(self, order: PaperOrder, result: Result, now_ns: int) -> Report:
        # An order that is over leaves its fate in doubt, not the cancel refused: a fill may be under way.
        return Report(Kind.ORDER_DOUBT, order, f"ALREADY_{order.status}", "too late to cancel")

    # --- the end of a day --------------------------------------------------------------

    def ends(self) -> set[int]:
        """Return the times at which an order or a held option ends, nanoseconds UTC."""
        orders = self.ledger.orders
        working = [orders[order_id] for queue in self.book.working.values() for order_id in queue]
        options = (holding.contract for holding in self.ledger.account.holdings.values())
        return {order.ends_ns for order in working if order.ends_ns is not None} | {
            self._day_ends.of_expiry(contract.expiry) for contract in options if contract.expiry is not None
        }

    def end_day(self, now_ns: int) -> list[Report]:
        """Expire DAY orders whose day is over, and whatever works in an option that expired."""
        orders = self.ledger.orders
        working = [orders[order_id] for queue in self.book.working.values() for order_id in queue]
        over = [order for order in working if self._is_over(order, now_ns)]
        for order in over:
            self.book.cancel(order.request.client_order_id)
            self.ledger.end(order, Status.EXPIRED, now_ns, "DAY_END")
        return [Report(Kind.ORDER_EXPIRED, order, "DAY_END") for order in over]

    def _is_over(self, order: PaperOrder, now_ns: int) -> bool:
        return (order.ends_ns is not None and order.ends_ns <= now_ns) or self._has_expired(
            order.request.contract, now_ns
        )

    def _has_expired(self, contract: Contract, now_ns: int) -> bool:
        return contract.expiry is not None and self._day_ends.of_expiry(contract.expiry) <= now_ns

    def expire_options(self, now_ns: int) -> list[Contract]:
        """Let options leave that expired, as stock if they end in the money; return what changed.

        One whose stock has no quote waits for the next call: nobody can say what it is worth.
        """
        changed = []
        for holding in list(self.ledger.account.holdings.values()):
            if self._has_expired(holding.contract, now_ns):
                changed += self._settle(holding.contract, holding.quantity)
        return changed

    def _settle(self, option: Contract, quantity: Decimal) -> list[Contract]:
        spot = self.mark(Contract.stock(option.symbol).key)
        exercise = self._config.expiry == "exercise"
        if exercise and spot is None:
            return []
        assert option.strike is not None
        call = option.right is Right.CALL
        in_the_money = spot is not None and (spot > option.strike if call else spot < option.strike)
        return self.leave(option, quantity, exercised=exercise and in_the_money)

    def leave(self, option: Contract, quantity: Decimal, *, exercised: bool) -> list[Contract]:
        """Take out ``quantity`` of an option, signed as it is held; return the contracts that changed.

        exercised  shares come or go at the strike; otherwise nothing does
        """
        closing = Side.SELL if quantity > 0 else Side.BUY
        self.ledger.book(option, closing, abs(quantity), ZERO)
        if not exercised:
            return [option]
        assert option.strike is not None
        stock = Contract.stock(option.symbol)
        shares = abs(quantity) * option.multiplier
        buys = (quantity > 0) is (option.right is Right.CALL)
        self.ledger.book(stock, Side.BUY if buys else Side.SELL, shares, option.strike)
        return [option, stock]


TEXTS = {
    "RANDOM": "refused at random, as reject_rate says",
    "UNKNOWN_CONTRACT": "no quote of this contract was ever seen",
    "SIZE": "quantity not above 0, or above max_order_quantity",
    "PRICE": "limit price missing, not above 0 or off the tick",
    "BUYING_POWER": "the position would exceed leverage times net liquidation",
    "NO_QUOTE": "no two-sided quote",
}
"""Why an order or a change is refused, by code."""

APPLY: dict[Happening, Callable[[Venue, PaperOrder, Result, int], Report]] = {
    Happening.ACCEPTED: Venue._accept,
    Happening.FILLED: Venue._fill,
    Happening.CANCELED: Venue._canceled,
    Happening.REPLACED: Venue._replaced,
    Happening.REJECTED: Venue._rejected,
    Happening.REFUSED: Venue._refused,
}
