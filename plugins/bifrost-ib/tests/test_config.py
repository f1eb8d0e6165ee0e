from __future__ import annotations

import pytest
from bifrost_ib.config import IBConfig, Pacing, Retry, StaleAfter

from bifrost_engine.errors import ConfigError
from bifrost_engine.testing import make_config


def test_the_defaults_are_a_paper_tws_on_this_host():
    config = make_config(IBConfig)
    assert (config.host, config.port, config.client_id, config.live) == ("127.0.0.1", 7497, 1, False)
    assert (config.retry_ib, config.pacing, config.stale_after) == (Retry(), Pacing(), StaleAfter())


def test_a_section_as_in_a_file_is_taken():
    config = make_config(IBConfig, port=4002, retry_ib={"max": 30}, pacing={"rate": 20}, market_data_type=3)
    assert (config.port, config.retry_ib.max, config.pacing.rate) == (4002, 30.0, 20)


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"host": ""}, "host"),
        ({"port": 0}, "port"),
        ({"port": 70_000}, "port"),
        ({"client_id": 0}, "client_id"),
        ({"library": "ibapi"}, "library"),
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"sync_timeout": -1}, "sync_timeout"),
        ({"market_data_type": 5}, "market_data_type"),
        ({"max_lines": 0}, "max_lines"),
        ({"retry_ib": {"first": 0}}, "retry_ib.first"),
        ({"retry_ib": {"factor": 0.5}}, "retry_ib.factor"),
        ({"retry_ib": {"jitter": 1.5}}, "retry_ib.jitter"),
        ({"stale_after": {"stock": 0}}, "stale_after.stock"),
        ({"stale_after": {"bond": 5}}, "stale_after.bond"),
    ],
)
def test_a_value_that_could_never_work_is_refused_by_its_key(section, key):
    with pytest.raises(ConfigError, match=rf"\b{key}: expected"):
        make_config(IBConfig, **section)


def test_pacing_stays_below_the_gateways_fifty_messages_a_second():
    assert make_config(IBConfig, pacing={"rate": 40, "burst": 9}).pacing.rate == 40
    with pytest.raises(ConfigError, match=r"expected below 50, was 40 \+ 10"):
        make_config(IBConfig, pacing={"rate": 40, "burst": 10})


def test_the_zone_of_times_without_one_is_one_that_exists():
    assert make_config(IBConfig, gateway_timezone="Europe/Berlin").gateway_timezone == "Europe/Berlin"
    with pytest.raises(ConfigError, match=r"gateway_timezone: expected a zone .* was 'Europe/Berlni'"):
        make_config(IBConfig, gateway_timezone="Europe/Berlni")
