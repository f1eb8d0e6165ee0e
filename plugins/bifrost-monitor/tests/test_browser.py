"""The page in a real browser: pressed, typed into, left alone by its server, made narrow."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from bifrost_pg import rows
from monitor_rows import ACCOUNT, heartbeat, snapshot

pytest.importorskip("websocket", reason="needs websocket-client")
from axe import faults
from browser import Browser, executable, open_browser

if executable() is None:
    pytest.skip("needs a browser: apt-get install chromium", allow_module_level=True)

LAMP = "document.getElementById('status').dataset.lamp"
WORD = "document.getElementById('word').textContent"
READY = "document.getElementById('ask-yes').getAttribute('aria-disabled') === 'false'"
LIVE = "document.getElementById('page-state').textContent === 'Page live'"


@pytest.fixture(scope="module")
def opened() -> Iterator[Browser]:
    with open_browser() as made:
        yield made


@pytest.fixture
def browser(opened: Browser) -> Iterator[Browser]:
    opened.size(1440, 1000)
    opened.do("Network.clearBrowserCookies")
    opened.complaints.clear()
    yield opened
    assert opened.complaints == []


def open_page(browser: Browser, client, log_in: bool = True) -> None:
    at = f"http://127.0.0.1:{client.port}"
    if log_in:
        browser.go(f"{at}/login")
        browser.js("document.getElementById('token').focus()")
        browser.type(client.token)
        browser.key("Enter")
        browser.wait("document.documentElement.dataset.user === 'ann'")
    else:
        browser.go(at)
    browser.wait(LIVE)


def confirm(browser: Browser, word: str) -> None:
    browser.click(f"#controls [data-control={word}]")
    browser.wait("document.getElementById('ask').open")
    browser.wait(READY)
    browser.click("#ask-yes")


def test_suspend_turns_it_yellow_within_3_s_and_resume_green_again(desk, client, browser):
    open_page(browser, client)
    assert browser.js(LAMP) == "green"
    confirm(browser, "suspend")
    assert browser.wait(f"{LAMP} === 'yellow'") < 3
    assert "the operator suspended trading" in browser.text("#status")
    assert browser.js("document.title") == "SUSPENDED · NVDA"
    assert "yellow" in browser.js("document.getElementById('icon').href")
    assert browser.text("#announced") == "yellow: Suspended"
    confirm(browser, "resume")
    assert browser.wait(f"{LAMP} === 'green'") < 3
    words = desk.execute("SELECT command, requested_by FROM daemon_control ORDER BY id").fetchall()
    assert words == [("suspend", "ann (monitor, 127.0.0.1)"), ("resume", "ann (monitor, 127.0.0.1)")]


def test_what_trades_is_only_sent_with_its_word_typed_and_never_by_accident(desk, client, browser):
    open_page(browser, client)
    browser.click("#controls [data-control=flatten]")
    browser.wait("document.getElementById('ask').open")
    assert browser.js("document.activeElement.id") == "ask-no"
    browser.click("#ask-yes")
    assert browser.js("document.getElementById('ask').open")
    browser.js("document.getElementById('ask-input').focus()")
    browser.type("flat")
    browser.js("new Promise(done => setTimeout(done, 800))")
    assert not browser.js(READY)
    browser.type("ten")
    browser.wait(READY)
    assert "Buys 81 NVDA" in browser.text("#ask-lines")
    browser.key("Enter")
    browser.wait("/#[0-9]+ flatten/.test(document.getElementById('outcome').textContent)")
    assert desk.execute("SELECT command FROM daemon_control").fetchall() == [("flatten",)]


def test_a_control_that_would_do_nothing_says_why_and_does_nothing(desk, client, browser):
    open_page(browser, client)
    browser.wait(
        "document.querySelector('#controls [data-control=resume]').innerText.includes('not suspended')"
    )
    browser.click("#controls [data-control=resume]")
    assert not browser.js("document.getElementById('ask').open")


def test_a_hedge_arrives_and_figures_move_without_a_reload(desk, client, browser):
    open_page(browser, client, log_in=False)
    browser.js("window.here = true")
    browser.js("document.querySelector('#feed [data-filter=fill]').click()")
    rows.write_snapshot(desk, 1, snapshot(net_delta=-30.5), False)
    browser.wait("document.getElementById('figures').textContent.includes('−30.5')")
    fields = {"ts": 1741014241.0, "side": "BUY", "price": 119.5, "journal_id": "j1", "strategy_id": "gamma"}
    for number, kind in enumerate(("hedge_intent", "fill"), start=1):
        rows.write_operation(desk, {**fields, "type": kind, "quantity": 31, "jseq": number})
    browser.wait("document.querySelector('#feed tr[data-kind=fill]')?.textContent.includes('119.50')")
    assert browser.js("document.querySelector('#feed tr[data-kind=hedge_intent]').offsetParent") is None
    assert browser.js("window.here")


def test_rows_wait_while_somebody_reads_the_feed(desk, client, browser):
    open_page(browser, client, log_in=False)
    browser.wait("!document.querySelector('#feed tr[data-kind=fill]')")
    browser.js("document.querySelector('#feed .rows').focus()")
    rows.write_operation(desk, {"ts": 1.0, "type": "fill", "quantity": 7, "journal_id": "j1", "jseq": 1})
    browser.wait("document.getElementById('held').textContent === 'new rows wait'")
    assert not browser.js("!!document.querySelector('#feed tr[data-kind=fill]')")
    browser.js("document.activeElement.blur()")
    browser.wait("!!document.querySelector('#feed tr[data-kind=fill]')")


def test_a_page_without_its_server_says_so_and_comes_back_by_itself(desk, serve, browser):
    client = serve()
    open_page(browser, client, log_in=False)
    served = serve.served[-1]
    served.stop()
    browser.wait("'lost' in document.documentElement.dataset")
    assert browser.text("#page-state").startswith("Not live since")
    assert browser.js("document.title").startswith("NOT LIVE")
    served.start(client.port)
    browser.wait(f"{LIVE} && document.title === 'NVDA'")
    browser.complaints.clear()  # of connections that were refused meanwhile


def test_without_a_login_a_control_leads_there(desk, client, browser):
    open_page(browser, client, log_in=False)
    browser.click("#controls [data-control=kill]")
    browser.wait("location.pathname === '/login'")
    assert desk.execute("SELECT count(*) FROM daemon_control").fetchone() == (0,)


def test_curves_are_read_with_the_arrow_keys(desk, client, browser):
    for number in range(4):
        rows.write_snapshot(desk, 1, snapshot(ts=1741014240.0 + 240 * number, spot=120.0 + number), True)
    open_page(browser, client, log_in=False)
    browser.wait("document.querySelector('figure.curves')?.dataset.points.includes('|10:16:00|123.00|')")
    browser.js("document.querySelector('figure.curves').focus()")
    browser.key("ArrowLeft")
    assert browser.text("#reading").startswith("10:16:00 · 123.00 · Δ +16.6")
    browser.key("ArrowLeft")
    assert browser.text("#reading").startswith("10:12:00 · 122.00")
    rows.write_snapshot(desk, 1, snapshot(ts=1741015200.0, spot=124.0), True)
    browser.wait("document.querySelector('figure.curves').dataset.points.includes('|10:20:00|124.00|')")
    assert browser.text("#reading").startswith("10:12:00 · 122.00")
    browser.key("ArrowLeft")
    assert browser.text("#reading").startswith("10:08:00 · 121.00")


@pytest.mark.parametrize("width", [360, 640, 1000, 1440])
def test_nothing_is_wider_than_the_window(desk, client, browser, width):
    browser.size(width, 900)
    open_page(browser, client, log_in=False)
    assert browser.js("document.documentElement.scrollWidth") <= width
    docked = browser.js("getComputedStyle(document.getElementById('dock')).display !== 'none'")
    assert docked == (width <= 640)


def test_older_rows_stay_in_order_and_without_a_gap_while_new_ones_come(desk, client, browser):
    def write(number: int) -> None:
        told = {"ts": 1741014000.0 + number, "type": "fill", "quantity": number, "price": 1.0}
        rows.write_operation(desk, {**told, "journal_id": "j1", "jseq": number, "strategy_id": "gamma"})

    for number in range(1, 251):
        write(number)
    open_page(browser, client, log_in=False)
    shown = "[...document.querySelectorAll('#feed tr[data-key] td:nth-child(4)')].map(e => +e.textContent)"
    browser.wait(f"{shown}.length === 60 && {shown}[0] === 250")
    browser.click("#more")
    browser.wait(f"{shown}.length === 160")
    write(251)
    browser.js("document.activeElement.blur()")
    browser.do("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=5)
    browser.wait(f"{shown}[0] === 251")
    browser.click("#more")
    browser.wait(f"{shown}.length === 251")
    assert browser.js(shown) == list(range(251, 0, -1))
    assert browser.js("document.getElementById('more').hidden")


def test_a_control_for_one_strategy_of_several_is_for_that_one(desk, client, browser):
    rows.write_snapshot(desk, 2, snapshot(strategy_id="spy", symbol="SPY"), False)
    open_page(browser, client)
    browser.go(f"http://127.0.0.1:{client.port}/?strategy=spy")
    browser.wait(f"{LIVE} && !!document.querySelector('#controls [data-control=suspend-alone]')")
    browser.click("#controls [data-control=suspend-alone]")
    browser.wait("document.getElementById('ask').open")
    assert browser.text("#ask-title") == "Suspend hedging? For spy alone."
    browser.wait(READY)
    browser.click("#ask-yes")
    browser.wait("/#[0-9]+ suspend spy/.test(document.getElementById('outcome').textContent)")
    assert desk.execute("SELECT command, strategy_id FROM daemon_control").fetchall() == [("suspend", "spy")]
    assert desk.execute("SELECT count(*) FROM daemon_run_status").fetchone() == (0,)


def _killed(desk) -> None:
    desk.execute("INSERT INTO daemon_run_status (id, suspended, killed) VALUES (1, true, true)")


def _suspended(desk) -> None:
    desk.execute("INSERT INTO daemon_run_status (id, suspended, killed) VALUES (1, true, false)")


def _stopped(desk) -> None:
    rows.write_heartbeat(desk, heartbeat(graceful_shutdown_ns=time.time_ns()))


def _vanished(desk) -> None:
    rows.write_heartbeat(desk, heartbeat(last_ts_ns=time.time_ns() - 60 * 10**9))


def _two(desk) -> None:
    rows.write_snapshot(desk, 2, snapshot(strategy_id="spy", symbol="SPY", notices=["2104: away"]), False)


SHOWN = {
    "Trading": lambda desk: None,
    "Suspended": _suspended,
    "Killed": _killed,
    "Stopped": _stopped,
    "Vanished": _vanished,
    "Two": _two,
}
"""The word beside the lamp → what brings it there; ``Two`` is a desk of two strategies."""
WAYS = [("dark", 360), ("light", 1440)]
CASES = [
    *((word, *way) for word in SHOWN for way in WAYS),
    ("Trading", "light", 360),
    ("Killed", "dark", 1440),
]


@pytest.mark.parametrize(("word", "scheme", "width"), CASES)
def test_axe_finds_no_serious_fault_of_accessibility(desk, client, browser, word, scheme, width):
    browser.size(width, 900)
    fields = {"ts": 1741014241.0, "side": "BUY", "price": 119.5, "journal_id": "j1", "strategy_id": "gamma"}
    for number, kind in enumerate(("hedge_intent", "fill", "reject", "kill"), start=1):
        rows.write_operation(desk, {**fields, "type": kind, "quantity": 31, "jseq": number})
    for number in range(4):
        rows.write_snapshot(desk, 1, snapshot(ts=1741014240.0 + 240 * number, spot=120.0 + number), True)
    rows.write_accounts(desk, [ACCOUNT])
    SHOWN[word](desk)
    open_page(browser, client)
    browser.js(f"document.documentElement.dataset.theme = '{scheme}'")
    shown = (
        "document.querySelectorAll('#controls h3').length === 2" if word == "Two" else f"{WORD} === '{word}'"
    )
    browser.wait(f"{shown} && !!document.querySelector('#positions tr.account')")
    assert faults(browser) == []


def test_axe_finds_no_serious_fault_in_the_login_nor_in_a_question(desk, client, browser):
    browser.go(f"http://127.0.0.1:{client.port}/login")
    assert faults(browser) == []
    open_page(browser, client)
    browser.click("#controls [data-control=flatten]")
    browser.wait("document.getElementById('ask').open")
    assert faults(browser) == []


def test_axe_finds_a_fault_that_is_there(desk, client, browser):
    open_page(browser, client, log_in=False)
    browser.js("document.querySelector('main').append(document.createElement('button'))")
    assert [line.split(":")[0] for line in faults(browser)] == ["critical button-name"]
