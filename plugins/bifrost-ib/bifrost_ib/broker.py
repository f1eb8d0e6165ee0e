"""Orders through Interactive Brokers: the hooks of the broker ``ib``.

An order leaves once, while the session is READY, under a number that was never used
before; what becomes of it is told by what the gateway itself says. Nothing here decides
what an order that is missing means.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal

from attrs import evolve

from bifrost_engine.domain import (
    BrokerCaps,
    BrokerEvent,
    BrokerEventKind,
    BrokerState,
    BrokerStateRequest,
    CancelRequest,
    CheckResult,
    Contract,
    OrderRequest,
    PlaceAck,
    ReplaceRequest,
)
from bifrost_engine.domain.order import Terms
from bifrost_engine.errors import DuplicateRequest, GatewayLost, NotSent
from bifrost_engine.hookspecs import HOOK_VERSION, PluginContext, hookimpl
from bifrost_ib import compat
from bifrost_ib.account import statements
from bifrost_ib.check import check
from bifrost_ib.config import IBConfig
from bifrost_ib.holdings import Holdings
from bifrost_ib.hours import session_end_ns
from bifrost_ib.link import Link
from bifrost_ib.messages import (
    AccountValue,
    Commission,
    ExecutionDetails,
    GatewayError,
    Message,
    OpenOrder,
    OrderStatus,
    PositionReport,
)
from bifrost_ib.outgoing import Sheet, check_terms, library_contract, library_order, sheet_of, sheet_shown
from bifrost_ib.pacing import Urgency
from bifrost_ib.session import Listener, Session, shared_session
from bifrost_ib.snapshot import read_parts
from bifrost_ib.translate.contracts import contract_of, is_served, wire_contract
from bifrost_ib.translate.orders import Known
from bifrost_ib.translate.register import Register
from bifrost_ib.translate.snapshot import state_of

SECOND_NS = 1_000_000_000
SAME_CANCEL_NS = SECOND_NS
"""A cancel that is asked for again sooner is the one under way. ``oms.cancel_timeout`` is longer, by more
than the journal may have kept the first one waiting."""
ANSWERS_TO_A_CANCEL = (BrokerEventKind.CANCEL_REJECTED, BrokerEventKind.ORDER_DOUBT)
"""After these it may be asked for again at once: nothing is under way any more, or nobody knows."""
DUPLICATE_ID, TOO_FAST = 103, 100
IDS_SKIPPED = 1000
Kind = BrokerEventKind


class IBBroker(Listener):
    """The broker plugin ``ib``.

    patience_s  seconds after which a request without a turn is taken back; the hook's deadline is later
    """

    hook_version = HOOK_VERSION
    Config = IBConfig

    def __init__(self, config: IBConfig, context: PluginContext) -> None:
        self.config = config
        self.patience_s = 4.0
        self.session: Session = shared_session(config, context, "broker")
        self.session.add(self)
        self._context = context
        self._clock = context.clock
        self._register = self._new_register(config.account)
        self._account = config.account
        self._sent: set[str] = set()
        self._sheets: dict[int, Sheet] = {}
        self._cancelled_ns: dict[str, int] = {}
        self._recent: deque[tuple[int, int]] = deque(maxlen=100)
        self._holdings = Holdings()
        self._summary: dict[tuple[str, str, str], AccountValue] = {}

    # --- the link ----------------------------------------------------------------------

    @hookimpl
    async def connect(self) -> None:
        """Keep a connection to the gateway from now on; called again, try at once."""
        await self.session.connect()

    @hookimpl
    async def disconnect(self) -> None:
        """Leave; orders that work go on working."""
        await self.session.disconnect()

    @hookimpl
    def broker_caps(self, account: str) -> BrokerCaps:
        """Return what the gateway can do."""
        return BrokerCaps(
            executions_window="since_midnight",
            client_ref_max_len=40,
            exec_revisions=True,
            paper=not self.config.live,
        )

    @hookimpl
    async def self_check(self, contracts: Sequence[Contract]) -> Sequence[CheckResult]:
        """Try the gateway, the account, and the market data of these stocks; no order is sent."""
        return await check(self.config, self._context, contracts)

    # --- orders ------------------------------------------------------------------------

    @hookimpl
    async def place_order(self, req: OrderRequest) -> PlaceAck:
        """Write an order, once. Raises NotSent, DuplicateRequest."""
        if req.client_order_id in self._sent or self._register.find(req.client_order_id) is not None:
            raise DuplicateRequest(f"order {req.client_order_id} was sent before; nothing was sent")
        link = self._ready()
        listed = self.session.contracts.known(req.contract.key)
        contract = wire_contract(req.contract) if listed is None else listed.contract
        sheet = sheet_of(self._with_step(req), contract, self.session.account)
        await self._turn(link, Urgency.ORDER)
        order_id = self._new_order_id(link)
        self._sent.add(req.client_order_id)
        self._register.sent(evolve(req, account=sheet.account), order_id, self._ends_ns(req))
        self._write(link, order_id, sheet)
        self._recent.append((self._clock.now_ns(), order_id))
        return PlaceAck(broker_order_id=str(order_id), client_id=self.config.client_id)

    def _ends_ns(self, req: OrderRequest) -> int | None:
        listed = self.session.contracts.known(req.contract.key)
        return None if listed is None else session_end_ns(listed.hours, listed.zone, self._clock.now_ns())

    @hookimpl
    async def cancel_order(self, req: CancelRequest) -> None:
        """Write a cancel, unless one has just been written. Raises NotSent, GatewayLost."""
        link = self._linked()
        known = self._register.find(req.client_order_id, req.perm_id)
        if known is None or known.order_id <= 0:
            self._say(req, Kind.ORDER_DOUBT, "NOT_FOUND", "the gateway has shown no such order")
            return
        if known.client_id != self.config.client_id:
            text = f"it belongs to client id {known.client_id}, only that can cancel it"
            self._say(req, Kind.CANCEL_REJECTED, "FOREIGN_CLIENT", text)
            return
        now_ns = self._clock.now_ns()
        if now_ns - self._cancelled_ns.get(req.client_order_id, -SAME_CANCEL_NS) < SAME_CANCEL_NS:
            return
        self._cancelled_ns[req.client_order_id] = now_ns
        try:
            await self._turn(link, Urgency.CANCEL)
            self._register.cancel_sent(known.order_id)
            compat.cancel(link.ib, known.order_id)
        except (NotSent, ConnectionError) as error:
            del self._cancelled_ns[req.client_order_id]
            raise NotSent(f"cancel of {req.client_order_id}: {error}") from error

    @hookimpl
    async def replace_order(self, req: ReplaceRequest) -> None:
        """Write a change of quantity or limit price. Raises NotSent."""
        link = self._ready()
        known = self._register.find(req.client_order_id, req.perm_id)
        sheet = self._sheet(known)
        if known is None or sheet is None:
            raise NotSent(f"order {req.client_order_id}: the gateway has shown no such order of ours")
        terms = Terms(quantity=req.quantity, limit_price=req.limit_price)
        contract = contract_of(sheet.contract)
        if contract is not None:
            step = self.session.contracts.step_at(contract.key, req.limit_price or Decimal(0))
            check_terms(terms, sheet.order_type, step or contract.tick_size)
        await self._turn(link, Urgency.ORDER)
        self._register.replace_sent(known.order_id, terms)
        self._write(link, known.order_id, sheet.changed(terms))

    def _with_step(self, req: OrderRequest) -> OrderRequest:
        """Return the order with the price step that holds at its limit, where the gateway told it."""
        price = req.limit_price
        step = None if price is None else self.session.contracts.step_at(req.contract.key, price)
        return req if step is None else evolve(req, contract=evolve(req.contract, tick_size=step))

    def _sheet(self, known: Known | None) -> Sheet | None:
        if known is None or known.client_id != self.config.client_id:
            return None
        return self._sheets.get(known.order_id)

    def _write(self, link: Link, order_id: int, sheet: Sheet) -> None:
        order = library_order(link.library, sheet, order_id, self.config.client_id)
        contract = library_contract(link.library, sheet.contract)
        try:
            compat.place(link.ib, order_id, contract, order)
        except ConnectionError as error:
            self._register.withdrawn(order_id)
            raise NotSent(f"order {sheet.order_ref}: {error}") from error
        self._sheets[order_id] = sheet

    def _linked(self) -> Link:
        if self.config.read_only:
            raise NotSent("ib.read_only is set: neither orders nor cancels are sent")
        return self.session.link

    def _ready(self) -> Link:
        """Return the connection for an order. Raises NotSent while none may leave."""
        why_not = self.session.why_not
        if why_not:
            raise NotSent(why_not)
        return self.session.link

    async def _turn(self, link: Link, urgency: Urgency) -> None:
        """Wait until a message may be sent. Raises NotSent if that takes too long, or can't be any more."""
        try:
            await link.turn(urgency, self.patience_s)
        except TimeoutError:
            raise NotSent(f"no turn within {self.patience_s:g} s: too many messages wait") from None
        except (GatewayLost, ConnectionError) as error:
            raise NotSent(str(error)) from error
        if urgency is Urgency.ORDER:
            self._same(link)

    def _same(self, link: Link) -> None:
        if self._ready() is not link:
            raise NotSent("the connection was made anew meanwhile")

    def _new_order_id(self, link: Link) -> int:
        order_id = link.next_id()
        if order_id >= compat.LARGEST_ID:
            # Kept on disk it would be the end of all orders; a new connection counts anew.
            link.fail("order_ids", f"the next order id would be {order_id}: a message was spoilt")
            raise NotSent(f"order id {order_id}: expected below {compat.LARGEST_ID}; connecting anew")
        try:
            self.session.order_ids.reserve(self.config.client_id, order_id)
        except (OSError, ValueError) as error:
            raise NotSent(f"the order's number can't be put on disk: {error}") from error
        return order_id

    # --- state -------------------------------------------------------------------------

    @hookimpl
    async def fetch_broker_state(self, req: BrokerStateRequest) -> BrokerState:
        """Return the account as the gateway shows it now. Raises GatewayLost."""
        begun_ns = self._clock.now_ns()
        session, timeout_s = self.session, self.config.sync_timeout
        parts = await read_parts(session.link, timeout_s, req.deadline_s, self._summary.values())
        state = state_of(
            parts,
            self._register,
            session.account,
            self.broker_caps(req.account),
            begun_ns,
            self._clock.now_ns(),
            session.name,
        )
        shown = statements(session.accounts, parts.positions, parts.summary)
        return evolve(state, account=req.account, accounts=shown)

    # --- what comes in -----------------------------------------------------------------

    def on_link(self, link: Link) -> None:
        """Forget the numbers of the connection before."""
        self._register.new_session()
        self._cancelled_ns.clear()
        self._holdings.clear()
        self._sheets.clear()

    def on_message(self, message: Message) -> None:
        """Take what is said of orders and the account, and tell what is news."""
        self._know_account()
        if isinstance(message, AccountValue):
            self._summary[message.account, message.tag, message.currency] = message
        elif isinstance(message, PositionReport):
            self._on_position(message)
        elif isinstance(message, OpenOrder | OrderStatus | ExecutionDetails | Commission | GatewayError):
            for event in self._news(message):
                if event.kind in ANSWERS_TO_A_CANCEL:
                    self._cancelled_ns.pop(event.client_order_id or "", None)
                if self.session.is_announced:
                    self._context.emit(event if self.config.account else evolve(event, account=""))

    def _know_account(self) -> None:
        """Begin anew with a login that turned out to be of another account."""
        account = self.session.account
        if account and account != self._account:
            self._account = account
            self._register = self._new_register(account)

    def _new_register(self, account: str) -> Register:
        config = self.config
        return Register(account, config.client_id, config.gateway_timezone, self._context.count)

    def _news(
        self, message: OpenOrder | OrderStatus | ExecutionDetails | Commission | GatewayError
    ) -> Iterator[BrokerEvent]:
        yield from self._register.take(message, self._clock.now_ns())
        if isinstance(message, OpenOrder):
            self._keep_sheet(message)
        elif isinstance(message, ExecutionDetails) and message.account == self.session.account:
            self._holdings.executed(message)
        elif isinstance(message, GatewayError):
            yield from self._on_error(message)

    def _on_position(self, report: PositionReport) -> None:
        """Have the broker asked about a holding that changed, unless an execution explains it soon."""
        if report.account != self.session.account:
            return
        con_id = self._holdings.reported(report, is_news=self.session.is_announced)
        if con_id is not None and is_served(report.contract):
            self._clock.call_at(self._clock.now_ns() + SECOND_NS, lambda: self._look_at(con_id))

    def _look_at(self, con_id: int) -> None:
        if self.session.is_announced and not self._holdings.is_explained(con_id):
            self._holdings.accept(con_id)
            self._context.emit(self._event(None, Kind.POSITION, "UNEXPLAINED", "a holding changed"))

    def _keep_sheet(self, shown: OpenOrder) -> None:
        known = self._register.find(shown.order_ref, str(shown.perm_id))
        if shown.client_id == self.config.client_id and shown.order_id > 0 and known and known.terms:
            self._sheets[shown.order_id] = sheet_shown(shown, known.terms)

    def _on_error(self, error: GatewayError) -> Iterator[BrokerEvent]:
        if error.code == DUPLICATE_ID and self._register.by_number(error.request_id) is not None:
            self.session.link.skip_ids(IDS_SKIPPED)
        elif error.code == TOO_FAST:
            since_ns = self._clock.now_ns() - SECOND_NS
            for sent_ns, order_id in self._recent:
                known = self._register.by_number(order_id)
                if sent_ns >= since_ns and known is not None and not known.acked:
                    yield self._event(known.order_ref, Kind.ORDER_DOUBT, str(TOO_FAST), error.text)

    def _say(self, req: CancelRequest, kind: BrokerEventKind, code: str, text: str) -> None:
        event = self._event(req.client_order_id, kind, code, text)
        self._context.emit(evolve(event, perm_id=req.perm_id, broker_order_id=req.broker_order_id))

    def _event(self, client_order_id: str | None, kind: BrokerEventKind, code: str, text: str) -> BrokerEvent:
        return BrokerEvent(
            kind=kind,
            ts_ns=self._clock.now_ns(),
            account=self.config.account,
            client_order_id=client_order_id,
            code=code,
            text=text,
        )
