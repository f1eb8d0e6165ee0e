from __future__ import annotations

import subprocess
import sys

import pytest
from bifrost_ib.broker import IBBroker
from bifrost_ib.config import IBConfig
from bifrost_ib.feed import IBFeed

from bifrost_engine import plugins


@pytest.mark.parametrize(("kind", "factory"), [("brokers", IBBroker), ("feeds", IBFeed)])
def test_it_is_found_by_its_name_and_fits_the_engine(kind, factory):
    assert plugins.load(kind, "ib") is factory
    assert plugins.inspect(plugins.find(kind, "ib")).error is None
    assert factory.Config is IBConfig


def test_importing_the_plugin_imports_no_library_for_the_gateway():
    code = (
        "import sys, bifrost_ib.broker, bifrost_ib.feed;"
        "print(sorted({'ib_insync', 'ib_async', 'ibapi', 'eventkit'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
