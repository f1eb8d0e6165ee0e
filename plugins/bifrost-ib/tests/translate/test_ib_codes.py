"""The tables of codes, held against a second copy that was written by itself."""

from __future__ import annotations

import pytest
from bifrost_ib.translate.codes import (
    ORDER_CODES,
    SESSION_CODES,
    Does,
    Says,
    Stand,
    is_read_only,
    refuses,
    says,
    session_code,
)

COLUMNS = (Stand.UNANSWERED, Stand.LIVE, Stand.REPLACING, Stand.CANCELLING)
TABLE = """
103            doubt    doubt   rrej        info
104            doubt    info    rrej+doubt  info
105            doubt    info    rrej        info
329            doubt    info    rrej        info
109            reject   info    rrej        info
110            reject   info    rrej        info
163            reject   info    rrej        info
355            reject   info    rrej        info
382            reject   info    rrej        info
383            reject   info    rrej        info
388            reject   info    rrej        info
434            reject   info    rrej        info
106            reject   doubt   rrej        info
107            reject   doubt   rrej        info
111            reject   doubt   rrej        info
113            reject   doubt   rrej        info
387            reject   doubt   rrej        info
203            reject   doubt   rrej        info
392            reject   doubt   rrej        info
460            reject   doubt   rrej        info
133            doubt    doubt   rrej        info
134            doubt    doubt   rrej        info
135            doubt    doubt   doubt       doubt
10147          doubt    doubt   doubt       doubt
136            doubt    info    info        crej
161            doubt    info    info        state
10148          doubt    info    info        state
200            reject   info    rrej        info
201            reject   doubt   rrej+doubt  text
202            end      cxl     cxl         cxl
321            reject   doubt   rrej        crej
354            info     info    info        info
10089          info     info    info        info
10167          info     info    info        info
399            info     info    info        info
404            ack      held    info        info
10349          day      rday    info        info
"""
WORDS = {
    "doubt": Says.DOUBT,
    "info": Says.INFO,
    "rrej": Says.REPLACE_REJECTED,
    "crej": Says.CANCEL_REJECTED,
    "reject": Says.REJECT,
    "cxl": Says.CANCELED,
    "end": Says.CANCELED_OR_REJECTED,
    "ack": Says.ACK,
    "held": Says.HELD,
    "day": Says.TIME_IN_FORCE,
    "rday": Says.REPLACED_TIME_IN_FORCE,
    "state": Says.CANCEL_BY_STATE,
    "text": Says.CANCEL_BY_TEXT,
}
ROWS = {
    int(code): tuple(tuple(WORDS[word] for word in cell.split("+")) for cell in cells)
    for code, *cells in (line.split() for line in TABLE.split("\n") if line)
}


def test_each_cell_of_the_orders_table_is_as_agreed():
    assert sorted(ORDER_CODES) == sorted(ROWS)
    for code, row in ROWS.items():
        assert ORDER_CODES[code] == row, code


@pytest.mark.parametrize("stand", COLUMNS)
@pytest.mark.parametrize("code", [0, 1, 99, 10289, 10293, 2099, 2200, 999_999, -5])
def test_a_code_that_nobody_knows_casts_doubt(code, stand):
    assert says(code, stand) == (Says.DOUBT,)


@pytest.mark.parametrize("stand", COLUMNS)
@pytest.mark.parametrize("code", [2100, 2109, 2148, 2199])
def test_a_warning_is_only_told(code, stand):
    assert says(code, stand, "outside regular hours") == (Says.INFO,)


@pytest.mark.parametrize("code", [161, 10148])
@pytest.mark.parametrize(
    ("state", "what"),
    [
        ("Filled", Says.DOUBT),
        ("Cancelled", Says.DOUBT),
        ("Inactive", Says.DOUBT),
        ("PendingCancel", Says.NOTHING),
        ("Submitted", Says.CANCEL_REJECTED),
        ("PreSubmitted", Says.CANCEL_REJECTED),
    ],
)
def test_a_cancel_that_comes_too_late_is_judged_by_the_state_it_names(code, state, what):
    text = f"OrderId 7 that needs to be cancelled cannot be cancelled, state: {state}."
    assert says(code, Stand.CANCELLING, text) == (what,)


def test_a_refused_cancel_without_a_state_is_a_refused_cancel():
    assert says(161, Stand.CANCELLING, "not in a cancellable state") == (Says.CANCEL_REJECTED,)


def test_a_rejection_while_cancelling_is_of_the_cancel_only_if_it_says_so():
    assert says(201, Stand.CANCELLING, "Cannot cancel the order") == (Says.CANCEL_REJECTED,)
    assert says(201, Stand.CANCELLING, "Order rejected - margin") == (Says.DOUBT,)


def test_an_unanswered_order_that_is_cancelled_was_rejected_if_it_was_refused():
    assert says(202, Stand.UNANSWERED) == (Says.CANCELED,)
    assert says(202, Stand.UNANSWERED, is_refusal=True) == (Says.REJECT,)


def test_a_refusal_is_what_rejects_before_the_acknowledgement():
    assert {code for code in ROWS if refuses(code)} == {
        *(109, 110, 163, 355, 382, 383, 388, 434, 106, 107, 111, 113, 387, 203, 392, 460, 200, 201, 321)
    }


def test_an_interface_that_takes_no_orders_is_recognised():
    assert is_read_only(321, "Error validating request: The API interface is currently in Read-Only mode.")
    assert not is_read_only(321, "Error validating request: invalid strike")
    assert not is_read_only(201, "Read-Only")


SESSION = {
    1100: (Does.LINK_LOST, True, True),
    1101: (Does.RESTORED_DATA_LOST, False, False),
    1102: (Does.RESTORED_DATA_KEPT, False, False),
    1300: (Does.PORT_CHANGED, True, False),
    2103: (Does.FARM_BROKEN, False, True),
    2105: (Does.FARM_BROKEN, False, True),
    2157: (Does.FARM_BROKEN, False, True),
    2104: (Does.FARM_OK, False, False),
    2106: (Does.FARM_OK, False, False),
    2107: (Does.FARM_OK, False, False),
    2108: (Does.FARM_OK, False, False),
    2158: (Does.FARM_OK, False, False),
    2110: (Does.LINK_LOST, True, True),
    326: (Does.CLIENT_ID_IN_USE, True, False),
    502: (Does.NOT_CONNECTED, True, False),
    503: (Does.NOT_CONNECTED, True, False),
    504: (Does.NOT_CONNECTED, True, False),
    507: (Does.CONNECTION_LOST, True, False),
    100: (Does.TOO_FAST, False, False),
    10197: (Does.COMPETING_SESSION, False, True),
}


def test_each_code_of_the_session_is_as_agreed():
    assert sorted(SESSION_CODES) == sorted(SESSION)
    for code, expected in SESSION.items():
        found = session_code(code)
        assert (found.does, found.gates_orders, found.gates_data) == expected, code


def test_a_code_of_the_session_that_nobody_knows_is_a_notice():
    assert session_code(987_654).does is Does.INFO
