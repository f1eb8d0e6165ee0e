"""Under tox the tests must meet the built wheels, never the checkout beside them."""

from __future__ import annotations

import os
import sysconfig
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif("TOX_ENV_NAME" not in os.environ, reason="needs tox, which builds wheels")

OURS = sorted(d.name for d in distributions() if d.name.startswith("bifrost-"))


def test_the_engine_is_installed():
    assert "bifrost-engine" in OURS


@pytest.mark.parametrize("name", OURS)
def test_the_package_is_imported_from_where_wheels_are_installed(name):
    origin = find_spec(name.replace("-", "_")).origin
    assert Path(origin).is_relative_to(sysconfig.get_path("purelib"))
