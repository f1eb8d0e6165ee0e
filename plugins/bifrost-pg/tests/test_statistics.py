"""Statistics from the database against SQL written by hand, and against the same run's folder and journal.

Two backtests of several days lie in one database: around a holiday and a month's end, and around
a change of the clocks and another month's end; two strategies each, orders filled in parts.
"""

from __future__ import annotations

import csv
import io
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg
import pytest
from bifrost_pg import migrations
from bifrost_pg.connection import open_connection
from bifrost_pg.plugin import PostgresSink
from generated_weeks import GOOD_FRIDAY, WINTER_TIME, write_days, write_two_strategies
from psycopg.rows import dict_row

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.cli.main import run
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.hookspecs import PluginContext
from bifrost_engine.journal import Journal
from bifrost_engine.replay.archiving import Archiving
from bifrost_engine.replay.backtest import run_backtest
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.folder import ResultFolder

SPANS = {"holiday": (GOOD_FRIDAY, "20240517"), "clocks": (WINTER_TIME, "20251219")}


class Kept(NamedTuple):
    """Two backtests, each kept in three places; ``journals`` are their ids by name."""

    uri: str
    folder: Path
    journals: dict[str, str]


@pytest.fixture(scope="session")  # of a module it would be made anew when tests of it are stolen back
def kept(server_uri, tmp_path_factory) -> Kept:
    folder, name = tmp_path_factory.mktemp("statistics"), f"stats_{uuid4().hex[:8]}"
    with psycopg.connect(server_uri, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}")
    uri = server_uri.replace("/postgres?", f"/{name}?")
    with open_connection(uri) as conn:
        migrations.refresh(conn)
    context = PluginContext(name="postgres", log=None, clock=None, state_dir=folder, emit=lambda _event: None)
    journals = {}
    for span, (days, expiry) in SPANS.items():
        data = write_days(folder / f"{span}.csv", days)
        config = load_config(
            RunOptions(config_path=write_two_strategies(folder / f"{span}.yaml", expiry)), {}
        )
        state = folder / f"state-{span}"
        state.mkdir()
        journal = Journal.open(state, "DPAPER", new_engine_id="test")
        archive = PostgresSink(PostgresSink.Config(dsn=uri), context).archive()
        with Archiving(archive) as archiving, ResultFolder(folder / f"result-{span}") as result:
            told = run_backtest(
                config.config,
                DataSet(data),
                tables=result,
                archive=archiving,
                takers=(lambda record, run_id, journal=journal: journal.append([record], run_id),),
                keep_trail=False,
            )
            result.complete(told.as_json())
        journal.commit()
        journal.close()
        journals[span] = told.provenance["journal_id"]
    return Kept(uri, folder, journals)


@pytest.fixture
def stats(kept, capsys):
    """Run ``bifrost stats`` and return its JSON."""

    def told(*arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        code = run(["stats", *arguments, "--json"])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        found: dict[str, Any] = json.loads(captured.out)
        return found

    return told


@pytest.fixture(scope="session")
def sessions(kept) -> None:
    """Make the table ``session`` (day, opens, closes) of the exchange's sessions."""
    calendar, at, found = ExchangeSessions(), date(2024, 3, 20), []
    while at < date(2025, 11, 10):
        session = calendar.first_session_on_or_after(at)
        found.append((session.day, session.open_ns / 1e9, session.close_ns / 1e9))
        at = session.day + timedelta(days=1)
    with psycopg.connect(kept.uri) as conn, conn.cursor() as cursor:
        cursor.execute("CREATE TABLE session (day date, opens timestamptz, closes timestamptz)")
        cursor.executemany("INSERT INTO session VALUES (%s, to_timestamp(%s), to_timestamp(%s))", found)


@pytest.fixture
def ask(kept, sessions):
    """Return rows of a query; the sessions of the exchange are the table ``session``."""
    with psycopg.connect(kept.uri, row_factory=dict_row) as conn:

        def rows(query: str, **values: Any) -> list[dict[str, Any]]:
            return conn.execute(query, values).fetchall()

        yield rows


def by_key(told: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["period"], row["strategy"]): row for row in told["rows"]}


PERIOD = {
    "day": "(ts AT TIME ZONE 'America/New_York')::date",
    "week": "date_trunc('week', ts AT TIME ZONE 'America/New_York')::date",
    "month": "date_trunc('month', ts AT TIME ZONE 'America/New_York')::date",
}
"""All that is traded here is traded in sessions, where the local date is the trading day."""


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("by", PERIOD)
def test_hedges_fills_shares_and_commissions_are_those_of_the_tables(kept, stats, ask, span, by):
    rows = by_key(stats("--db", kept.uri, "--journal", kept.journals[span], "--by", by))
    hedges = ask(
        f"SELECT {PERIOD[by]} AS period, strategy_id, count(*) AS n FROM order_event_log e"
        " JOIN orders o USING (journal_id, client_order_id)"
        " WHERE journal_id = %(j)s AND event = 'SUBMIT' AND purpose = 'HEDGE' GROUP BY 1, 2",
        j=kept.journals[span],
    )
    assert sum(row["n"] for row in hedges) > 20
    found = {key: row["hedges"] for key, row in rows.items() if row["hedges"]}
    expected = {(str(row["period"]), row["strategy_id"]): row["n"] for row in hedges}
    assert {key: n for key, n in found.items() if key[0] != "total" and key[1] != "all"} == expected
    assert found["total", "all"] == sum(expected.values())
    fills = ask(
        f"WITH f AS (SELECT booked_at AS ts, * FROM fills) SELECT {PERIOD[by]} AS period, owner,"
        " count(*) AS n,"
        " sum(qty) AS shares, sum(commission) AS paid FROM f"
        " WHERE journal_id = %(j)s AND owner IN ('nvda', 'spy') AND kind = 'TRADE' GROUP BY 1, 2",
        j=kept.journals[span],
    )
    assert sum(row["n"] for row in fills) > sum(expected.values())  # some were filled in parts
    for row in fills:
        told = rows[str(row["period"]), row["owner"]]
        assert (told["fills"], told["shares"]) == (row["n"], float(row["shares"]))
        assert told["commission"] == pytest.approx(float(row["paid"]), abs=1e-6)
    whole = rows["total", "all"]
    assert whole["fills"] == sum(row["n"] for row in fills)
    assert whole["commission"] == pytest.approx(float(sum(row["paid"] for row in fills)), abs=1e-6)


@pytest.mark.parametrize("span", SPANS)
def test_slippage_is_that_of_each_fill_against_the_mid_of_its_decision(kept, stats, ask, span):
    rows = by_key(stats("--db", kept.uri, "--journal", kept.journals[span], "--by", "week"))
    expected = ask(
        "WITH f AS (SELECT f.booked_at AS ts, f.owner, f.qty, d.ref_price AS mid,"
        " CASE f.side WHEN 'BUY' THEN f.price - d.ref_price ELSE d.ref_price - f.price END AS away"
        " FROM fills f JOIN orders o USING (journal_id, client_order_id)"
        " JOIN order_decision_log d ON d.journal_id = o.journal_id AND d.jseq = o.decision_jseq"
        " WHERE f.journal_id = %(j)s)"
        f" SELECT {PERIOD['week']} AS period, owner, avg(away * qty) AS mean_usd,"
        " max(away * qty) AS worst_usd, sum(away * qty) AS total_usd,"
        " avg(10000 * away / mid) AS mean_bps, max(10000 * away / mid) AS worst_bps"
        " FROM f GROUP BY 1, 2",
        j=kept.journals[span],
    )
    assert len(expected) >= 3
    for row in expected:
        told = rows[str(row["period"]), row["owner"]]["slippage"]
        for name in ("mean_usd", "worst_usd", "total_usd", "mean_bps", "worst_bps"):
            assert told[name] == pytest.approx(float(row[name]), abs=2e-6), name


LAST = """
SELECT DISTINCT ON (owner, trading_day) owner, trading_day AS day, daily_pnl AS pnl
FROM portfolio_snapshot_log WHERE journal_id = %(j)s AND owner IN ('nvda', 'spy') AND daily_pnl IS NOT NULL
ORDER BY owner, trading_day, jseq DESC
"""


@pytest.mark.parametrize("span", SPANS)
def test_results_of_days_and_how_they_are_spread_are_those_of_the_last_snapshots(kept, stats, ask, span):
    rows = by_key(stats("--db", kept.uri, "--journal", kept.journals[span], "--by", "month"))
    days = SPANS[span][0]
    for owner in ("nvda", "spy"):
        (spread,) = ask(
            f"WITH l AS ({LAST}) SELECT count(*) AS n, sum(pnl) AS total, avg(pnl) AS mean,"
            " count(*) FILTER (WHERE pnl > 0) AS winners, count(*) FILTER (WHERE pnl < 0) AS losers,"
            " coalesce(sum(pnl) FILTER (WHERE pnl > 0), 0) AS won,"
            " coalesce(sum(pnl) FILTER (WHERE pnl < 0), 0) AS lost,"
            " percentile_cont(ARRAY[0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]) WITHIN GROUP (ORDER BY pnl) AS at"
            " FROM l WHERE owner = %(owner)s",
            j=kept.journals[span],
            owner=owner,
        )
        told = rows["total", owner]
        assert told["pnl"] == pytest.approx(float(spread["total"]), abs=1e-6)
        found = told["pnl_by_day"]
        assert spread["n"] == found["n"] == len(days)
        assert (found["winners"], found["losers"]) == (spread["winners"], spread["losers"])
        decided = spread["winners"] + spread["losers"]
        assert found["win_rate_pct"] == pytest.approx(100 * spread["winners"] / decided, abs=1e-6)
        for name in ("won", "lost", "mean"):
            assert found[name] == pytest.approx(float(spread[name]), abs=1e-6), name
        names = ("min", "p5", "p25", "median", "p75", "p95", "max")
        assert [found[name] for name in names] == pytest.approx(spread["at"], abs=1e-6)
    both = ask(
        f"SELECT date_trunc('month', day)::date AS month, sum(pnl) AS pnl FROM ({LAST}) l GROUP BY 1",
        j=kept.journals[span],
    )
    assert len(both) == 2
    for row in both:
        assert rows[str(row["month"]), "all"]["pnl"] == pytest.approx(float(row["pnl"]), abs=1e-6)


@pytest.mark.parametrize("span", SPANS)
def test_a_hedges_result_is_what_the_day_changed_by_since_the_one_before(kept, stats, ask, span):
    rows = by_key(stats("--db", kept.uri, "--journal", kept.journals[span]))
    expected = ask(
        "WITH after AS (SELECT f.owner, f.trading_day AS day, f.client_order_id, max(f.jseq) AS jseq,"
        "  (SELECT daily_pnl FROM portfolio_snapshot_log p WHERE p.journal_id = f.journal_id"
        "   AND p.owner = f.owner AND p.trigger = 'FILL' AND p.jseq > max(f.jseq)"
        "   ORDER BY p.jseq LIMIT 1) AS pnl"
        " FROM fills f WHERE journal_id = %(j)s AND owner IN ('nvda', 'spy')"
        " GROUP BY f.journal_id, 1, 2, 3),"
        " results AS (SELECT owner, day, jseq, pnl, row_number() OVER w AS n,"
        "  pnl - lag(pnl) OVER w AS since FROM after WINDOW w AS (PARTITION BY owner, day ORDER BY jseq)),"
        " known AS (SELECT owner, day, CASE n WHEN 1 THEN pnl ELSE since END AS result FROM results)"
        " SELECT owner, day, count(result) AS n, count(*) - count(result) AS unknown, sum(result) AS total,"
        " count(*) FILTER (WHERE result > 0) AS winners,"
        " percentile_cont(0.5) WITHIN GROUP (ORDER BY result) AS median FROM known GROUP BY 1, 2",
        j=kept.journals[span],
    )
    assert len(expected) >= 6
    for row in expected:
        told = rows[str(row["day"]), row["owner"]]["pnl_by_hedge"]
        assert (told["n"], told["unknown"], told["winners"]) == (row["n"], row["unknown"], row["winners"])
        if row["n"]:
            assert told["won"] + told["lost"] == pytest.approx(float(row["total"]), abs=1e-5)
            assert told["median"] == pytest.approx(row["median"], abs=1e-6)


STOOD = """
WITH full_ones AS (
    SELECT s.jseq, s.ts, r.strategy_id, r.end_at, s.signal_json->'facts'->>'trading_state' AS state,
        s.filter_reasons AS reasons, lead(s.ts) OVER (PARTITION BY r.strategy_id ORDER BY s.jseq) AS next
    FROM signal_snapshot_log s JOIN strategy_run r USING (run_id)
    WHERE s.journal_id = %(j)s AND s.signal_json->'of_jseq' IS NULL
), stood AS (
    SELECT f.*, d.day, least(coalesce(next, end_at), closes) - greatest(ts, opens) AS length
    FROM full_ones f JOIN session d ON d.opens < coalesce(next, end_at) AND d.closes > f.ts
)
"""


@pytest.mark.parametrize("span", SPANS)
def test_time_in_states_is_how_long_decisions_stood_in_sessions(kept, stats, ask, span):
    rows = by_key(stats("--db", kept.uri, "--journal", kept.journals[span]))
    expected = ask(
        STOOD + "SELECT day, strategy_id, state, extract(epoch FROM sum(length)) AS seconds FROM stood"
        " GROUP BY 1, 2, 3",
        j=kept.journals[span],
    )
    for row in expected:
        told = rows[str(row["day"]), row["strategy_id"]]["states_s"]
        assert told[row["state"]] == pytest.approx(float(row["seconds"]), abs=1e-6)
    # Every session is covered from its first decision to its close, the last one to the end of the quotes.
    assert rows[str(SPANS[span][0][1]), "nvda"]["states_s"].keys() >= {"SAFE", "NO_TRADE", "MONITOR"}
    assert sum(rows[str(SPANS[span][0][1]), "nvda"]["states_s"].values()) == pytest.approx(6.5 * 3600)


@pytest.mark.parametrize("span", SPANS)
def test_blocks_are_counted_by_reason_of_strategy_or_gate(kept, stats, ask, span):
    rows = by_key(stats("--db", kept.uri, "--journal", kept.journals[span]))
    stale = ask(
        STOOD + "SELECT day, strategy_id, extract(epoch FROM sum(length)) AS seconds FROM stood"
        " WHERE reasons::text LIKE '%%M5 STALE%%' GROUP BY 1, 2",
        j=kept.journals[span],
    )
    assert len(stale) == 8
    for row in stale:
        told = rows[str(row["day"]), row["strategy_id"]]["blocked"]["M5 STALE"]
        assert told["seconds"] == pytest.approx(float(row["seconds"]), abs=1e-6)
    gates = ask(
        f"SELECT {PERIOD['day']} AS day, s.strategy_id, g->>'gate' AS gate, count(*) AS times FROM"
        " (SELECT s.*, r.strategy_id FROM signal_snapshot_log s JOIN strategy_run r USING (run_id)) s"
        " JOIN (SELECT journal_id, signal_jseq, jsonb_array_elements(risk_json) AS g"
        " FROM risk_decision_log) k"
        " ON (k.journal_id, k.signal_jseq) = (s.journal_id, s.jseq)"
        " WHERE s.journal_id = %(j)s AND g->>'verdict' = 'vetoed' GROUP BY 1, 2, 3",
        j=kept.journals[span],
    )
    assert gates
    for row in gates:
        assert rows[str(row["day"]), row["strategy_id"]]["blocked"][row["gate"]]["times"] == row["times"]
    decided = ask(
        "SELECT sum(n) AS n FROM signal_snapshot_log WHERE journal_id = %(j)s", j=kept.journals[span]
    )
    assert 0 < rows["total", "all"]["decisions"] <= decided[0]["n"]


# --- the same everywhere ---------------------------------------------------------------------


def first_difference(one: Any, other: Any, at: str = "") -> str | None:
    """Return where two values of JSON differ first, None if they are alike."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return f"{at}: {one.keys() ^ other.keys()}"
        return next((d for key in one if (d := first_difference(one[key], other[key], f"{at}.{key}"))), None)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return next((d for n, (a, b) in pairs if (d := first_difference(a, b, f"{at}[{n}]"))), None)
    return None if one == other else f"{at}: {one!r} against {other!r}"


SPANS_ASKED = ((), ("--by", "week"), ("--by", "month"))


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("asked", [*SPANS_ASKED, "until", "since"])
def test_database_folder_and_journal_of_one_run_say_the_same(kept, stats, span, asked):
    days = SPANS[span][0]
    within = {"until": days[:2], "since": days[2:3]}
    options = asked
    if isinstance(asked, str):
        first, last = str(within[asked][0]), str(within[asked][-1])
        options = ("--until", last, *(("--since", first) if asked == "since" else ()))
    database = stats("--db", kept.uri, "--journal", kept.journals[span], *options)
    folder = stats("--data", str(kept.folder / f"result-{span}"), *options)
    journal = stats("--data", str(kept.folder / f"state-{span}"), *options)
    assert first_difference(database["rows"], folder["rows"]) is None
    assert first_difference(database["rows"], journal["rows"]) is None
    if isinstance(asked, str):
        told = {row["period"] for row in database["rows"]} - {"total"}
        assert told == {str(day) for day in within[asked]}


def test_what_the_result_of_a_backtest_says_is_what_is_counted(kept, stats):
    result = json.loads((kept.folder / "result-clocks" / "result.json").read_text())
    rows = by_key(stats("--data", str(kept.folder / "result-clocks")))
    for name, part in result["strategies"].items():
        told = rows["total", name]
        assert [told[key] for key in ("hedges", "fills", "shares")] == [
            part[key] for key in ("hedges", "fills", "shares")
        ]
        assert told["pnl"] == pytest.approx(part["result"]["net"], abs=0.01)
        assert told["slippage"]["mean_bps"] == pytest.approx(part["slippage"]["mean_bps"], abs=1e-6)


# --- the database as it is ---------------------------------------------------------------------


WRITTEN = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"


def test_nothing_is_written_and_a_role_that_may_only_read_is_enough(kept, stats):
    role = f"reader_{uuid4().hex[:6]}"
    with psycopg.connect(kept.uri, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {role} LOGIN")
        conn.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        before = conn.execute(WRITTEN).fetchone()
        assert stats("--db", f"{kept.uri}&user={role}")["rows"]
        conn.execute("SELECT pg_stat_clear_snapshot()")
        assert conn.execute(WRITTEN).fetchone() == before


def test_the_transaction_of_statistics_refuses_to_write(make_sink, conn):
    reader = make_sink().reader()
    with reader.statistics() as tables:
        assert tables.journals() == []
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader._link._conn.execute("CREATE TABLE anything (n integer)")
    reader.close()


def test_an_empty_database_says_that_nothing_is_there_yet(conn, database_uri, capsys):
    assert run(["stats", "--db", database_uri]) == 1
    assert "the database has no records yet" in capsys.readouterr().err


def test_a_database_without_tables_says_how_to_make_them(database_uri, capsys):
    assert run(["stats", "--db", database_uri]) == 1
    assert "bifrost db" in capsys.readouterr().err


def test_a_server_that_is_not_there_is_one_sentence(capsys):
    assert run(["stats", "--db", "postgresql://nobody@127.0.0.1:1/nothing"]) == 1
    said = capsys.readouterr().err
    assert "postgres" in said
    assert "Traceback" not in said


def test_the_newest_backtest_is_taken_and_others_are_offered(kept, capsys):
    assert run(["stats", "--db", kept.uri]) == 0
    said = capsys.readouterr()
    assert "2025-11-03" in said.out
    assert "1 more journal there: --journal ID, or --all" in said.err
    assert run(["stats", "--db", kept.uri, "--all", "--by", "month"]) == 0
    said = capsys.readouterr().out
    assert all(month in said for month in ("2024-03-01", "2024-04-01", "2025-10-01", "2025-11-01"))


class Interrupted(Exception):
    """Ends a backtest in its middle."""


@pytest.fixture
def interrupt(conn, make_sink, tmp_path):
    """Run a backtest of a day into the test's database until it has so many records."""
    path = write_two_strategies(tmp_path / "bifrost.yaml", SPANS["holiday"][1])
    config = load_config(RunOptions(config_path=path), {}).config

    def until(records: float, seed: int = 5) -> str | None:
        data = write_days(tmp_path / f"{seed}.csv", GOOD_FRIDAY[:1], seed)

        def stop(record: Any, _run_id: str | None) -> None:
            if record.jseq >= records:
                raise Interrupted

        with Archiving(make_sink().archive()) as archive:
            archive.batch = 20
            try:
                told = run_backtest(config, DataSet(data), archive=archive, takers=(stop,), keep_trail=False)
            except Interrupted:
                return None
        return str(told.provenance["journal_id"])

    return until


def test_a_backtest_that_was_interrupted_is_told_as_unfinished_until_it_is_completed(
    interrupt, database_uri, capsys
):
    def asked(*arguments: str) -> tuple[dict[str, Any], str]:
        assert run(["stats", "--db", database_uri, "--json", *arguments]) == 0
        said = capsys.readouterr()
        return json.loads(said.out)["sources"][0], said.err

    interrupt(400)
    source, said = asked()
    assert (source["backtest"], source["unfinished"]) == (True, True)
    assert f"journal {source['journal_id']} (backtest, unfinished: it has no end)\n" in said
    assert run(["stats", "--db", database_uri, "--all"]) == 2
    assert "there are only unfinished backtests" in capsys.readouterr().err

    journal_id = interrupt(float("inf"))
    source, said = asked("--all")
    assert (source["journal_id"], source["unfinished"]) == (journal_id, False)
    assert f"journal {journal_id} (backtest)\n" in said
    assert "left out" not in said


def test_an_unfinished_backtest_is_left_out_of_the_sum_of_all(interrupt, database_uri, capsys):
    journal_id = interrupt(float("inf"))
    assert run(["stats", "--db", database_uri, "--csv"]) == 0
    alone = capsys.readouterr().out
    interrupt(400, seed=6)
    interrupt(1, seed=7)  # before anything was stored
    assert run(["stats", "--db", database_uri, "--csv", "--all"]) == 0
    said = capsys.readouterr()
    assert said.out == alone
    assert f"journal {journal_id} (backtest)\n" in said.err
    assert "left out: 1 unfinished backtest\n" in said.err


def test_two_backtests_of_one_day_are_not_added_up(interrupt, database_uri, capsys):
    journals = [interrupt(float("inf"), seed=seed) for seed in (5, 6)]
    assert run(["stats", "--db", database_uri, "--all", "--csv"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "are both of 2024-03-27: alternatives, which don't add up; count one with --journal" in said.err
    assert all(f"journal {journal_id} (backtest)" in said.err for journal_id in journals)


def test_an_unknown_journal_is_answered_with_those_that_there_are(kept, capsys):
    assert run(["stats", "--db", kept.uri, "--journal", "zzz"]) == 2
    said = capsys.readouterr().err
    assert all(known in said for known in kept.journals.values())


def test_days_outside_the_records_are_answered_with_those_that_there_are(kept, capsys):
    asked = ["--journal", kept.journals["holiday"], "--since", "2024-05-01"]
    assert run(["stats", "--db", kept.uri, *asked]) == 1
    assert (
        "nothing since 2024-05-01; there are trading days from 2024-03-27 to 2024-04-02"
        in capsys.readouterr().err
    )


def test_csv_has_a_line_for_each_period_and_strategy(kept, stats, capsys):
    options = ["--data", str(kept.folder / "result-holiday"), "--by", "month"]
    rows = stats(*options)["rows"]
    assert run(["stats", *options, "--csv"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(line["period"], line["strategy"]) for line in lines] == [
        (month, who) for month in ("2024-03-01", "2024-04-01", "total") for who in ("nvda", "spy", "all")
    ]
    for line, row in zip(lines, rows, strict=True):
        assert float(line["pnl"]) == row["pnl"]
        assert float(line["slippage.mean_bps"]) == row["slippage"]["mean_bps"]
        assert float(line["states_s.SAFE"]) == row["states_s"]["SAFE"]
