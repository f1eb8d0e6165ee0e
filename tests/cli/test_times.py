from __future__ import annotations

from datetime import date

import click
import pytest

from bifrost_engine.cli.main import run
from bifrost_engine.cli.times import NEW_YORK, NS, parse_time, show_length, show_precise, show_time

CONFIG = "symbol: NVDA\nbroker: paper\nstatus: {{sink: []}}\ndaemon: {{state_dir: {}}}\n"
DATA = ("--data", "{}/day.csv")
BESIDE = {
    "backtest": DATA,
    "sweep": (*DATA, "--set", "gates.state.delta.epsilon_band=1,2", "--out", "{}/out"),
    "config rehearse": (*DATA, "{}/b.yaml"),
}
OPEN = 1_741_012_200  # 2025-03-03 14:30:00 UTC, 09:30 in New York


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2025-03-03T09:30", OPEN),
        ("2025-03-03 09:30:05", OPEN + 5),
        ("2025-03-03T14:30Z", OPEN),
        ("2025-03-03T15:30+01:00", OPEN),
        ("2025-03-03", OPEN - 9.5 * 3600),
        ("2025-07-01T09:30-04:00", 1_751_376_600),
        ("2025-07-01T09:30", 1_751_376_600),  # in summer New York is four hours behind
    ],
)
def test_a_time_is_the_exchanges_unless_it_has_an_offset(text: str, seconds: float):
    assert parse_time(text, NEW_YORK) == seconds * NS


def test_a_time_of_day_takes_the_day_it_is_given():
    assert parse_time("09:30:00.25", NEW_YORK, date(2025, 3, 3)) == OPEN * NS + NS // 4


def test_microseconds_are_kept_exactly():
    assert parse_time("2025-03-03T09:30:00.000001", NEW_YORK) == OPEN * NS + 1000


@pytest.mark.parametrize("text", ["10:31", "yesterday", "2025-13-01", "", "max"])
def test_what_is_no_time_is_refused_with_an_example(text: str):
    with pytest.raises(click.BadParameter, match="expected a time such as 2025-03-03T10:31"):
        parse_time(text, NEW_YORK)


@pytest.mark.parametrize(
    ("command", "option"),
    [
        *((command, option) for command in BESIDE for option in ("--start", "--end")),
        ("record", "--for"),
        ("record", "--until"),
        ("run", "--until"),
    ],
)
def test_a_time_that_is_none_is_refused_by_its_options_name(tmp_path, capfd, command, option):
    (tmp_path / "b.yaml").write_text(CONFIG.format(tmp_path / "state"))
    (tmp_path / "day.csv").touch()
    given = [text.format(tmp_path) for text in BESIDE.get(command, ())]
    config = "--config", str(tmp_path / "b.yaml")
    assert run([*command.split(), *given, *config, option, "nonsense"]) == 2
    assert f"Invalid value for '{option}': expected a " in capfd.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"b.yaml", "day.csv"}


def test_times_are_shown_in_the_exchanges_zone():
    assert show_time(OPEN * NS, NEW_YORK, "%Y-%m-%d %H:%M:%S %Z") == "2025-03-03 09:30:00 EST"
    assert show_precise(OPEN * NS + 123_999_999, NEW_YORK) == "09:30:00.123"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2 s"), (59.94, "59.9 s"), (61, "1 min 01 s"), (3_599, "59 min 59 s"), (7_500, "2 h 05 min")],
)
def test_a_length_has_its_two_largest_units(seconds: float, text: str):
    assert show_length(int(seconds * NS)) == text
