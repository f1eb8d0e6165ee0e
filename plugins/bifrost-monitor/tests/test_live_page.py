"""The page in a real browser, of a daemon that trades: what an operator does, and what happens to a desk."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator

import pytest
from live_desk import LiveDesk
from patience import wait_for
from private_server import server_folder

pytest.importorskip("websocket", reason="needs websocket-client")
from axe import faults
from browser import Browser, executable, open_browser

if executable() is None:
    pytest.skip("needs a browser: apt-get install chromium", allow_module_level=True)

LAMP = "document.getElementById('status').dataset.lamp"
WORD = "document.getElementById('word').textContent"
LIVE = "document.getElementById('page-state').textContent === 'Page live'"
READY = "document.getElementById('ask-yes').getAttribute('aria-disabled') === 'false'"
OUTCOME = "document.getElementById('outcome').textContent"
START_S = 60.0
"""Until a daemon that was started is at work: a rehearsal that goes on first plays what was."""
WATCHING = (
    f"window.lamps = [{LAMP}]; new MutationObserver(() => window.lamps.push({LAMP}))"
    ".observe(document.getElementById('status'), {attributes: true, attributeFilter: ['data-lamp']}); true"
)
"""Keeps each colour that the lamp has from now on."""


@pytest.fixture(scope="module")
def desk() -> Iterator[LiveDesk]:
    with server_folder() as folder, LiveDesk(folder) as made:
        yield made


@pytest.fixture(scope="module")
def opened(desk: LiveDesk) -> Iterator[Browser]:
    with open_browser() as made:
        made.size(1440, 1000)
        yield made


@pytest.fixture
def page(desk: LiveDesk, opened: Browser) -> Iterator[Browser]:
    """The page of a desk that trades, with Ann logged in, whatever was done to it before."""
    if not desk.is_running():
        desk.start_daemon()
    opened.complaints.clear()
    opened.go(desk.address)
    if opened.js("document.documentElement.dataset.user") != "ann":
        log_in(opened, desk)
    opened.wait(LIVE)
    for flag, word in (("killed", "clear_kill"), ("trading_suspended", "resume")):
        if desk.status()[flag]:
            desk.client.command(word)
    opened.wait(f"{LAMP} === 'green'", START_S)
    yield opened
    assert opened.complaints == []


def log_in(browser: Browser, desk: LiveDesk) -> None:
    browser.go(f"{desk.address}/login")
    browser.js("document.getElementById('token').focus()")
    browser.type(desk.client.token)
    browser.key("Enter")
    browser.wait("document.documentElement.dataset.user === 'ann'")


def give(browser: Browser, word: str, typed: str = "") -> None:
    """Press a control and confirm it as a person would."""
    browser.click(f"#controls [data-control={word}]")
    browser.wait("document.getElementById('ask').open")
    if typed:
        browser.js("document.getElementById('ask-input').focus()")
        browser.type(typed)
    browser.wait(READY)
    browser.click("#ask-yes")


def state(browser: Browser) -> str:
    """Return what the page says first: the word, the lamp and since when."""
    return browser.text("#status > div:nth-child(2)")


def test_a_hedge_arrives_on_the_page_without_a_reload(desk, page):
    page.js("window.here = true")
    fills = "document.querySelectorAll('#feed tr[data-kind=fill]').length"
    before = page.js(fills)
    page.wait(f"{fills} > {before}", START_S)
    page.wait("document.querySelectorAll('.curve-price .hedge').length > 0")
    assert page.js("window.here")
    assert re.match(r"Daemon RUNNING since \d\d:\d\d:\d\d Trading", page.text("#state .machines"))


def test_suspend_is_yellow_within_3_s_and_resume_is_green(desk, page):
    give(page, "suspend")
    assert page.wait(f"{LAMP} === 'yellow'") < 3.0
    page.wait(f"{OUTCOME}.includes('suspended; a working order')")
    page.wait("/no new hedges until a resume · since \\d\\d:/.test(document.querySelector('.why').innerText)")
    assert re.match(r"Suspended yellow · degraded since \d\d:\d\d:\d\d", state(page))
    give(page, "resume")
    assert page.wait(f"{LAMP} === 'green'") < 3.0


def test_flatten_with_its_word_typed_brings_the_own_stock_to_0(desk, page):
    stock = "document.querySelector('#figures .book dd').textContent"
    page.wait(f"{stock} !== '0'", START_S)
    give(page, "flatten", "FLATTEN")
    page.wait(f"{stock} === '0'", START_S)
    page.wait("[...document.querySelectorAll('#feed tr b')].some(one => one.textContent === 'flattened')")
    assert desk.rows("SELECT stock_position FROM status_current") == [(0,)]
    assert page.js(LAMP) == "yellow"


def test_kill_is_red_also_over_a_restart_of_the_daemon_until_it_is_cleared(desk, page):
    give(page, "kill")
    page.wait(f"{LAMP} === 'red' && {WORD} === 'Killed'")
    page.wait("!!document.querySelector('.curve-price text.mark-killed')")
    page.js(WATCHING)
    assert desk.end_daemon() == 0
    page.wait(f"{WORD} === 'Stopped'")
    desk.start_daemon()
    page.wait(f"document.getElementById('daemons').textContent.includes('{desk.daemon.pid}')", START_S)
    page.wait(f"{WORD} === 'Killed'", START_S)
    page.wait("document.querySelector('#state .machines code').textContent.startsWith('RUNNING')", START_S)
    assert set(page.js("window.lamps")) == {"red"}
    give(page, "clear_kill", "CLEAR")
    page.wait(f"{LAMP} === 'green'", START_S)


def test_a_database_that_is_away_is_red_with_the_reason_and_back_by_itself(desk, page):
    page.js("window.here = true")
    with desk.without_database():
        page.wait(f"{LAMP} === 'red' && {WORD} === 'Database away'")
        assert page.text("#status .why").startswith("database postgres: ")
        assert "as of" in page.text("#figures")
        assert faults(page) == []
    page.wait(f"{LAMP} === 'green'", START_S)
    wait_for(
        lambda: desk.status()["daemon_heartbeat"]["age_s"] < 2.0, "for the daemon to write again", START_S
    )
    assert page.js("window.here")


def test_a_daemon_that_is_killed_has_vanished_within_35_s(desk, page):
    desk.end_daemon(signal.SIGKILL)
    killed_at = time.monotonic()
    page.wait(f"{WORD} === 'Vanished'", 40.0)
    assert time.monotonic() - killed_at < 35.0
    assert page.js(LAMP) == "red"
    assert "last heard of at" in state(page)
    assert "didn't say goodbye" in page.text("#status .why")


def test_a_daemon_that_is_stopped_says_when(desk, page):
    give(page, "stop", "STOP")
    page.wait(f"{WORD} === 'Stopped'")
    assert desk.daemon.wait(10.0) == 0
    assert "Stopped red · blocked stopped at " in state(page)
    assert page.js("document.title").startswith("STOPPED")
