"""Rules on positions: what executions don't explain is explained by an expiry, or booked outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import combinations

from bifrost_engine.domain.broker import Execution
from bifrost_engine.domain.contract import Contract, Right, SecType, plain, stock_key
from bifrost_engine.domain.fill import EXTERNAL, Fill, FillKind
from bifrost_engine.domain.order import OrderState, Side
from bifrost_engine.oms.event import EventSource, Severity
from bifrost_engine.recon.executions import bust
from bifrost_engine.recon.finding import POSITION_DIFFERENCE, Book, Finding, Hold, Settle, Status, Step
from bifrost_engine.recon.look import SECOND_NS, SETTLED_NS, ZERO, Look, total

DOUBTED_NS = 30 * SECOND_NS
"""An adjustment that a snapshot this much later does without is taken back."""
MOST_EXPIRED = 12
"""More options of one symbol and day aren't tried against a change of its stock."""


def position_rules(look: Look) -> bool:
    """Return whether positions can be judged at all by this snapshot."""
    return look.stable and look.is_complete("positions", "executions")


def expired_option(look: Look) -> Iterator[Finding]:
    """R26: an option that its last session took away, alone or against stock at the strike."""
    if not position_rules(look) or not look.ours.opened:
        return
    for symbol, ended in _expired(look).items():
        stock = look.ours.contract(stock_key(symbol))
        assigned = _assigned(look, stock, ended)
        for option, difference in ended:
            if _is_deferred(look, option.key):
                continue
            yield _ended(look, option, difference, stock if option in assigned else None)


def unexplained_position(look: Look) -> Iterator[Finding]:
    """R14: a difference that nothing explains; on the first comparison the account's opening position."""
    if not position_rules(look):
        return
    for key, difference in look.differences().items():
        if not look.ours.opened:
            yield _opening(look, key, difference)
        elif _is_deferred(look, key):
            continue
        elif key in look.vanishing or _is_under_way(look, key, difference):
            look.unsettled = True
        elif (doubtful := _undone(look, key, difference)) is not None:
            if look.taken_ns - doubtful.booked_ns < DOUBTED_NS:
                look.look_again = True
            else:
                yield _taken_back(look, doubtful)
        else:
            yield _adjusted(look, key, difference)


# --- what waits --------------------------------------------------------------------------


def _is_deferred(look: Look, key: str) -> bool:
    """Return whether an order of unknown state has the word first."""
    return any(o.state is OrderState.UNKNOWN for o in look.ours.open_orders() if o.contract_key == key)


def _is_under_way(look: Look, key: str, difference: Decimal) -> bool:
    """Return whether fills that one side hasn't heard of yet may explain a difference.

    The parts of a snapshot are read one after the other, while orders fill.
    """
    filled_ns = look.ours.last_fill_ns.get(key)
    if filled_ns is not None and look.theirs.as_of_start_ns - filled_ns < SETTLED_NS:
        return True
    fitting = [o for o in look.ours.open_orders() if o.contract_key == key and o.side.sign * difference > 0]
    if abs(difference) > total(order.leaves_quantity for order in fitting):
        return False
    since_ns = look.evidence.since(("differs", key, difference), look.taken_ns)
    return look.taken_ns - since_ns < SETTLED_NS


# --- adjustments -------------------------------------------------------------------------


def adjustment(look: Look, key: str, difference: Decimal) -> tuple[Book, str]:
    """Return the step that makes the books equal outside all strategies, and its execution's id."""
    base_id = f"{_adjustments_of(look, key)}{len(_adjustments(look, key))}"
    return _book(look, base_id, key, difference, look.price(key), EXTERNAL, FillKind.ADJUST), base_id


def _opening(look: Look, key: str, difference: Decimal) -> Finding:
    held = look.held_there.get(key)
    average = held.average_cost if held is not None else None
    contract = _contract(look, key)
    price = look.price(key) if average is None else average / contract.multiplier
    base_id = f"{_adjustments_of(look, key)}{len(_adjustments(look, key))}"
    booked = _book(look, base_id, key, difference, price, EXTERNAL, FillKind.ADJUST)
    return _finding(look, key, difference, "opening position", (booked,), Severity.INFO, Status.DONE, base_id)


def _adjusted(look: Look, key: str, difference: Decimal) -> Finding:
    booked, base_id = adjustment(look, key, difference)
    steps: tuple[Step, ...] = (booked,)
    if look.traders(_contract(look, key)):
        text = f"{key} differs by {plain(difference)} from the books"
        steps = (*steps, Hold(None, key, POSITION_DIFFERENCE, text))
    return _finding(look, key, difference, "booked outside", steps, Severity.ERROR, Status.OPEN, base_id)


def _undone(look: Look, key: str, difference: Decimal) -> Fill | None:
    """Return the last adjustment, if the broker now does without it and nobody has looked yet."""
    made = _adjustments(look, key)
    last = made[-1] if made else None
    if last is None or not last.quantity or last.signed_quantity != -difference:
        return None
    keys = look.ours.open_keys()
    return last if any(f"|{last.base_id}|" in open_key for open_key in keys) else None


def _taken_back(look: Look, fill: Fill) -> Finding:
    steps: tuple[Step, ...] = (bust(fill, look.now_ns, EventSource.RECON),)
    steps += tuple(
        Settle(key, "the broker's position agrees without it")
        for key in sorted(look.ours.open_keys())
        if f"|{fill.base_id}|" in key
    )
    difference, key = -fill.signed_quantity, fill.contract.key
    action = "adjustment taken back: the broker does without it"
    return _finding(look, key, difference, action, steps, Severity.WARNING, Status.DONE, fill.base_id)


def _adjustments_of(look: Look, key: str) -> str:
    return f"adj:R14:{look.ours.account}:{key}:"


def _adjustments(look: Look, key: str) -> list[Fill]:
    return _fills_of(look, EXTERNAL, _adjustments_of(look, key))


def _fills_of(look: Look, owner: str, start: str) -> list[Fill]:
    book = look.ours.portfolio.books.get(owner)
    return [] if book is None else [fill for fill in book.fills() if fill.base_id.startswith(start)]


# --- expiry ------------------------------------------------------------------------------


def _expired(look: Look) -> dict[str, list[tuple[Contract, Decimal]]]:
    """Return the options that went at their end, by symbol: contract and difference."""
    found: dict[str, list[tuple[Contract, Decimal]]] = {}
    ours = look.ours.portfolio.account_quantities()
    for key, difference in look.differences().items():
        contract = _contract(look, key)
        shrank = difference * ours.get(key, ZERO) < 0 and abs(difference) <= abs(ours.get(key, ZERO))
        if contract.sec_type is SecType.OPTION and shrank and look.ours.is_expired(contract):
            found.setdefault(contract.symbol, []).append((contract, difference))
    return found


def _assigned(look: Look, stock: Contract, ended: Sequence[tuple[Contract, Decimal]]) -> frozenset[Contract]:
    """Return the options whose exercise makes just the change of the stock; none if more sets do."""
    change = look.difference(stock.key)
    if not change or len(ended) > MOST_EXPIRED:
        return frozenset()
    found = [
        chosen
        for count in range(1, len(ended) + 1)
        for chosen in combinations(ended, count)
        if total(_shares(*one) for one in chosen) == change
    ]
    return frozenset(option for option, _ in found[0]) if len(found) == 1 else frozenset()


def _shares(option: Contract, difference: Decimal) -> Decimal:
    """Return the shares that come in when a position in an option is exercised or assigned."""
    sign = -1 if option.right is Right.CALL else 1
    return sign * difference * option.multiplier


def _ended(look: Look, option: Contract, difference: Decimal, stock: Contract | None) -> Finding:
    account, key = look.ours.account, option.key
    owner = _holder(look, key, difference)
    kind = FillKind.EXPIRY if stock is None else FillKind.ASSIGNMENT
    start = f"exp:R26:{account}:{key}:"
    base_id = f"{start}{len(_fills_of(look, owner, start))}"
    steps: tuple[Step, ...] = (_book(look, base_id, key, difference, ZERO, owner, kind),)
    action = "expired: booked at 0"
    if stock is not None:
        shares, strike = _shares(option, difference), option.strike or ZERO
        stock_id = f"{base_id}:STK"
        steps += (_book(look, stock_id, stock.key, shares, strike, owner, FillKind.ASSIGNMENT),)
        action = f"exercised or assigned: {plain(shares)} {stock.symbol} at {plain(strike)}"
    return _finding(look, key, difference, action, steps, Severity.WARNING, Status.OPEN, base_id, rule="R26")


def _holder(look: Look, key: str, difference: Decimal) -> str:
    """Return the one book that held the option; EXTERNAL if several did."""
    books = look.ours.portfolio.books
    holders = [owner for owner, book in books.items() if book.quantities.get(key)]
    one = holders[0] if len(holders) == 1 else EXTERNAL
    return one


# --- values ------------------------------------------------------------------------------


def _contract(look: Look, key: str) -> Contract:
    held = look.held_there.get(key)
    return look.ours.contract(key) if held is None else held.contract


def _book(
    look: Look, base_id: str, key: str, signed: Decimal, price: Decimal, owner: str, kind: FillKind
) -> Book:
    execution = Execution(
        base_id=base_id,
        contract=_contract(look, key),
        side=Side.BUY if signed > 0 else Side.SELL,
        quantity=abs(signed),
        price=price,
        commission=ZERO,
        commission_currency=look.ours.portfolio.currency,
        ts_ns=look.theirs.as_of_end_ns,
    )
    return Book(execution, owner, kind)


def _finding(
    look: Look,
    key: str,
    difference: Decimal,
    action: str,
    steps: tuple[Step, ...],
    severity: Severity,
    status: Status,
    base_id: str,
    rule: str = "R14",
) -> Finding:
    ours = look.ours.portfolio.account_quantities().get(key, ZERO)
    return Finding(
        rule=rule,
        severity=severity,
        status=status,
        action=action,
        exec_base_id=base_id,
        contract_key=key,
        ours={"quantity": ours},
        theirs={"quantity": ours + difference},
        steps=steps,
    )
