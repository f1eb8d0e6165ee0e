"""All that can be done in a scenario; each act takes a number to choose by, and 0 is harmless."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from ordeal_line import Line
from ordeal_process import MS, SECOND, Crashed
from venue import CANCELED, EXPIRED, REJECTED, Trade, VenueOrder

from bifrost_engine.domain import Beat, BrokerEventKind, Command, Intent, OrderType, Purpose, Quote, Side
from bifrost_engine.domain.events import Commanded
from bifrost_engine.testing.engine import STOCK


class Acts(Line):
    """The market, the operator, the venue, the line and the disk at work."""

    # --- the market and the operator

    def quote(self, n: int) -> None:
        self.mid += Decimal((0, 1, -1, 5, -5)[self.pick(5)]) / 100
        self.pass_time((200, 10, 1500)[self.pick(3)] * MS)
        mid = float(self.mid)
        self.handle(Quote(STOCK.key, mid - 0.01, mid + 0.01, 500.0, 500.0, self.now_ns))

    def want(self, n: int) -> None:
        """Let a strategy want shares at the next quote, which comes at once."""
        name = self.names[self.pick(len(self.names))]
        wanted = Intent(
            contract_key=STOCK.key,
            side=(Side.BUY, Side.SELL)[self.pick(2)],
            quantity=Decimal((10, 7, 30)[self.pick(3)]),
            purpose=(Purpose.HEDGE, Purpose.HEDGE, Purpose.ENTRY)[self.pick(3)],
            order_type=OrderType.LIMIT if self.limit_orders else OrderType.MARKET,
            reason="wish",
        )
        self.wishers[name].wish = wanted
        self.quote(n)

    def wait(self, n: int) -> None:
        self.pass_time((2, 5, 11, 1, 31)[self.pick(5)] * SECOND)
        self.handle(Beat(ts_ns=self.now_ns))
        if self.pick(2) == 0:
            self.commit()

    def attend(self, n: int) -> None:
        """Let seconds pass in which each question is answered at once, and truly."""
        seconds = (3, 6, 12, 20)[self.pick(4)]
        self.luck = (0, 0)
        for _ in range(seconds):
            if self.link and self.heard_of_link:
                self.hear_all()
            self.pass_time(SECOND)

    def command(self, n: int) -> None:
        names = (
            "manual_resume",
            "manual_resume",
            "resume",
            "suspend",
            "flatten",
            "kill",
            "clear_kill",
            "stop",
        )
        name = names[self.pick(len(names))]
        self.stopping |= name == "stop"
        self.handle(Commanded(ts_ns=self.now_ns, command=Command(name=name, source="test")))

    def calm_down(self, n: int) -> None:
        """Lift whatever keeps the strategies from trading."""
        for name in ("clear_kill", "resume", "manual_resume"):
            self.handle(Commanded(ts_ns=self.now_ns, command=Command(name=name, source="test")))

    def die(self, n: int) -> None:
        raise Crashed

    def fill_disk(self, n: int) -> None:
        self.disk_is_full = True

    def free_disk(self, n: int) -> None:
        self.disk_is_full = False
        self.commit()

    def light(self, n: int) -> None:
        """The process will die after some more steps."""
        self.fuse = n % 30

    # --- the venue

    def order(self) -> VenueOrder | None:
        alive = self.venue.alive()
        return alive[self.pick(len(alive))] if alive else None

    def trade(self) -> Trade | None:
        trades = [trade for trade in self.venue.trades.values() if trade.ref is not None and not trade.busted]
        return trades[-1 - self.pick(len(trades))] if trades else None

    def fill(self, n: int) -> None:
        order = self.order()
        if order is not None:
            part = (order.left, max(1, order.left // 2), 1)[self.pick(3)]
            trade = self.venue.execute(order, max(1, part), self.mid, self.now_ns)
            self.seen["fill"] += 1
            if self.pick(2):
                trade.fee = Decimal("0.35")

    def overfill(self, n: int) -> None:
        order = self.order()
        if order is not None:
            self.seen["overfill"] += 1
            self.venue.execute(order, order.left + 1 + self.pick(5), self.mid, self.now_ns)

    def late_trade(self, n: int) -> None:
        """An order that is over has traded after all."""
        ended = [o for o in self.venue.orders.values() if o.status in (CANCELED, EXPIRED) and o.left > 0]
        if ended:
            order = ended[self.pick(len(ended))]
            self.seen["late trade"] += 1
            self.venue.execute(order, 1 + self.pick(order.left), self.mid, self.now_ns)

    def correct(self, n: int) -> None:
        trade = self.trade()
        if trade is not None:
            self.seen["correction"] += 1
            quantity = max(1, trade.quantity + (0, -1, 1, -3)[self.pick(4)])
            self.venue.correct(trade, quantity, self.mid + 1)

    def bust(self, n: int) -> None:
        """Undo a trade that is on our disk as it is, if no other is on its way to be found out.

        Of one that was never heard of remains but a count that is too high, and two at once leave
        no difference that proves either.
        """
        trade = self.trade()
        booked = self.on_disk(trade) if trade is not None else None
        unproven = [t for t in self.venue.trades.values() if t.busted and self.on_disk(t) != 0]
        if trade is not None and booked == trade.quantity and not unproven:
            self.seen["bust"] += 1
            self.venue.bust(trade)

    def on_disk(self, trade: Trade) -> int | None:
        """Return what the journal has of a trade's latest revision, 0 once it is undone."""
        booked = self.mirror.orders[str(trade.ref)].executions.get(trade.base)
        if booked is None or (booked.quantity and booked.revision != trade.revision):
            return None
        return int(booked.quantity)

    def charge(self, n: int) -> None:
        trade = self.trade()
        if trade is not None and trade.fee is None:
            self.venue.charge(trade, (Decimal("0.35"), Decimal("-0.05"))[self.pick(2)])

    def recharge(self, n: int) -> None:
        trade = self.trade()
        if trade is not None:
            self.seen["other fee"] += 1
            self.venue.charge(trade, Decimal("0.40") + self.pick(3))

    def end(self, n: int) -> None:
        order = self.order()
        if order is not None:
            over = (CANCELED, EXPIRED, REJECTED)[self.pick(3)]
            self.venue.end(order, CANCELED if order.filled and over == REJECTED else over)

    def lie(self, n: int) -> None:
        order = self.order()
        if order is not None:
            self.seen["lie"] += 1
            self.venue.lie(order, (CANCELED, REJECTED, EXPIRED)[self.pick(3)])

    def say_again(self, n: int) -> None:
        """Tell how an order stands, or that it is there, once more."""
        order = self.order()
        if order is not None:
            kinds = ("ORDER_ACK", "ORDER_STATUS", "ORDER_DOUBT", "CANCEL_REJECTED", "REPLACE_REJECTED")
            self.venue.tell(kinds[self.pick(len(kinds))], order)

    def edit(self, n: int) -> None:
        """Somebody else changes an order."""
        order = self.order()
        if order is not None:
            self.seen["edit"] += 1
            self.venue.replace(
                order.ref, max(order.filled + 1, order.quantity + self.pick(9) - 4), order.limit
            )

    def by_hand(self, n: int) -> None:
        self.seen["by hand"] += 1
        self.venue.trade_by_hand((1, -1)[self.pick(2)], 1 + self.pick(20), self.mid, self.now_ns)

    # --- the line between

    def hear(self, n: int) -> None:
        """Hear the next reports, in order."""
        for _ in range(1 + self.pick(3)):
            self.deliver(0)

    def hear_any(self, n: int) -> None:
        """Hear one that overtook the others."""
        if self.venue.reports:
            self.deliver(self.pick(len(self.venue.reports)))

    def hear_twice(self, n: int) -> None:
        if self.told:
            self.seen["repeated"] += 1
            self.venue.reports.insert(0, self.told[-1 - self.pick(len(self.told))])
            self.deliver(0)

    def hear_old(self, n: int) -> None:
        """Hear of an execution as it was before it was put right."""
        old = [r for r in self.told if r.trade is not None and r.revision < r.trade.revision]
        if old and self.heard_of_link:
            self.seen["outdated"] += 1
            self.venue.reports.insert(0, replace(old[-1 - self.pick(len(old))], serial=-len(self.told)))
            self.deliver(0)

    def mislay(self, n: int) -> None:
        if self.venue.reports:
            self.seen["lost"] += 1
            self.venue.reports.pop(self.pick(len(self.venue.reports)))

    def recover(self, n: int) -> None:
        """All goes well for a moment: the line is there, and every question is answered."""
        self.luck = (0, 0)
        if not self.link:
            self.disconnect(0)
        self.connect(0)
        self.hear_all()

    def renumber(self, n: int) -> None:
        """The broker was reset: the numbers of its orders begin again."""
        if not self.venue.alive() and not self.in_flight:
            self.disconnect(n)
            self.numbered_before = sum(self.called.values())

    def go_deaf(self, n: int) -> None:
        """The line is dead, and nobody has noticed."""
        self.link = False

    def nudge(self, n: int) -> None:
        kind = (BrokerEventKind.POSITION, BrokerEventKind.DATA_RESTORED)[self.pick(2)]
        if self.heard_of_link:
            self.say_link(kind)

    # --- snapshots

    def look(self, n: int) -> None:
        """Take a snapshot for the oldest request; it is handed in later."""
        for index, (asked, taken) in enumerate(self.fetches):
            if taken is None and self.link:
                self.fetches[index] = (asked, self.take_for(asked))
                return

    def overtake(self, n: int) -> None:
        """Something is heard of an order while each snapshot is on its way, until one counts all the same."""
        if not self.link or not self.heard_of_link:
            return
        self.hear_all()
        if not self.venue.alive():
            self.want(n)
        self.say_link(BrokerEventKind.DATA_RESTORED)
        for _ in range(4):
            self.look(n)
            (self.say_again, self.edit, self.end, self.fill)[self.pick(4)](n)
            while self.venue.reports:
                self.deliver(0)
            self.seen["overtaken"] += 1
            self.answer(n)
            self.pass_time(SECOND)
