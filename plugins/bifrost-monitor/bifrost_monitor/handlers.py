"""What each route does.

A handler takes a call and, where there is one, the ``query`` or the ``body``, of the type that its signature
names; what it returns, its signature names, too. The table of routes and the description are made from that.
"""

from __future__ import annotations

from typing import Any, get_args

from bifrost_pg.control import PORTS, send_command
from psycopg import Connection
from starlette.responses import Response

from bifrost_engine.audit.story import order_story
from bifrost_monitor import queries, trail
from bifrost_monitor.answers import (
    Accepted,
    CommandAnswer,
    ControlBody,
    Decisions,
    DecisionsQuery,
    Health,
    History,
    HistoryQuery,
    IbAnswer,
    IbBody,
    OperationsPage,
    OperationsQuery,
    Orders,
    OrdersQuery,
    Status,
    Story,
    Word,
)
from bifrost_monitor.call import Call
from bifrost_monitor.holdings import epoch
from bifrost_monitor.refusal import Refusal
from bifrost_monitor.standing import command_answer, operation_answer

WORDS = get_args(Word)
FOR_ALL_ONLY = ("stop", "retry_ib", "refresh_accounts")
MOST_ID = 2**63 - 1


async def status(call: Call) -> Status:
    """Answer with the state."""
    return await call.monitor.watch.fresh()


async def operations(call: Call, query: OperationsQuery) -> OperationsPage:
    """Answer with operations, newest first."""
    found = await call.read(lambda conn: queries.operations(conn, query))
    page = [operation_answer(row) for row in found[: query.limit]]
    return OperationsPage(operations=page, next_before_id=page[-1].id if len(found) > query.limit else None)


async def history(call: Call, query: HistoryQuery) -> History:
    """Answer with the curves of a strategy."""
    known = (state.strategy_id for state in (await call.monitor.watch.fresh()).strategies)
    strategy_id = query.strategy_id or next(known, None)
    if strategy_id is None:
        return History(strategy_id=None, points=[], fills=[])
    since, until = query.since_ts, query.until_ts
    points, fills = await call.read(
        lambda conn: queries.history(conn, strategy_id, since, until, query.limit)
    )
    seen = call.monitor.watch.samples.of(strategy_id, since or 0.0, until or queries.END_OF_TIME_S)
    return trail.history_answer(strategy_id, points, fills, seen, query.limit)


async def orders(call: Call, query: OrdersQuery) -> Orders:
    """Answer with orders, newest first."""
    found = await call.read(lambda conn: queries.orders(conn, query))
    page = [trail.order_answer(row) for row in found[: query.limit]]
    return Orders(orders=page, next_before_ts=page[-1].created_at if len(found) > query.limit else None)


async def explain(call: Call) -> Story:
    """Answer with an order's chain: what was seen, what the gates said, what came of it."""
    name = call.request.path_params["id"]
    found = None if "\0" in name else await call.read(lambda conn: queries.order(conn, name))
    if found is None:
        raise Refusal(404, f"no order {name!r}")
    return trail.story_answer(
        await call.trail(found["journal_id"], lambda source: order_story(source, found))
    )


async def decisions(call: Call, query: DecisionsQuery) -> Decisions:
    """Answer with the last decisions."""
    found = await call.read(
        lambda conn: queries.decisions(conn, query.strategy_id, query.wanted, query.limit)
    )
    return Decisions(decisions=[trail.decision_answer(row) for row in found])


# --- control -------------------------------------------------------------------------------


async def control(call: Call, body: ControlBody) -> Accepted:
    """Write a command, with its flags and who asked."""
    word = call.request.path_params["command"]
    if word not in WORDS:
        raise Refusal(404, f"no command {word!r}; there are {', '.join(WORDS)}")
    await _check_strategy(call, word, body)
    asked_by = str(call.visitor)
    number = await call.write(lambda conn: send_command(conn, word, body.strategy_id, asked_by))
    call.monitor.watch.hasten()
    return Accepted(id=number, command=word, strategy_id=body.strategy_id)


async def _check_strategy(call: Call, word: str, body: ControlBody) -> None:
    if body.strategy_id is None:
        return
    if word in FOR_ALL_ONLY:
        raise Refusal(422, f"{word} is for the whole daemon; expected no strategy_id")
    known = [state.strategy_id for state in (await call.monitor.watch.as_of_now()).strategies]
    if body.strategy_id not in known:
        raise Refusal(422, f"no strategy {body.strategy_id!r}; there are {', '.join(filter(None, known))}")


async def fate(call: Call) -> CommandAnswer:
    """Answer with a command and what became of it."""
    text = call.request.path_params["command"]
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None
    row = None
    if number is not None and number <= MOST_ID:
        row = await call.read(lambda conn: queries.command(conn, number))
    answer = command_answer(row)
    if answer is None:
        raise Refusal(404, f"no command {text}")
    return answer


async def config_ib(call: Call, body: IbBody) -> IbAnswer:
    """Save where IB is."""
    row = await call.write(lambda conn: save_ib(conn, body, str(call.visitor)))
    call.monitor.watch.hasten()
    return IbAnswer(
        ib_host=row["ib_host"],
        ib_port_type=row["ib_port_type"],
        ib_port=PORTS[row["ib_port_type"]],
        updated_at=epoch(row["updated_at"]) or 0.0,
        restart_needed=True,
        note="saved; the daemon connects there from its next start",
    )


def save_ib(conn: Connection[Any], body: IbBody, asked_by: str) -> queries.Row:
    """Save where IB is, with a line among the commands that says who asked; return the row."""
    told = f"saved {body.ib_host} {body.ib_port_type}; in force from the daemon's next start"
    with conn.transaction():
        conn.execute(
            "INSERT INTO daemon_control (command, requested_by, consumed_at, outcome)"
            " VALUES ('config_ib', %s, now(), %s)",
            (asked_by, told),
        )
        return queries.rows(
            conn,
            "INSERT INTO settings (id, ib_host, ib_port_type, updated_at) VALUES (1, %s, %s, now())"
            " ON CONFLICT (id) DO UPDATE SET ib_host = EXCLUDED.ib_host,"
            " ib_port_type = EXCLUDED.ib_port_type, updated_at = now() RETURNING *",
            (body.ib_host, body.ib_port_type),
        )[0]


# --- the monitor itself --------------------------------------------------------------------


async def healthz(call: Call) -> Health:
    """Answer that the monitor lives."""
    return Health(ok=True, reason=None)


async def metrics(call: Call) -> Response:
    """Answer with the metrics."""
    from bifrost_monitor.metrics import MEDIA, exposition

    await call.monitor.watch.fresh()
    return Response(exposition(call.monitor), headers={"Content-Type": MEDIA, "Cache-Control": "no-store"})


async def readyz(call: Call) -> Health:
    """Answer that the database can be read; refuse if it can't, with the reason for who may read."""
    await call.monitor.watch.fresh()
    if call.monitor.watch.trouble:
        told = call.monitor.watch.trouble if call.monitor.open_to_read else "the database can't be read"
        raise Refusal(503, told)
    return Health(ok=True, reason=None)
