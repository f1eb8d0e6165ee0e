"""No test leaves anything to those that follow: logs are as they were."""

from __future__ import annotations

from collections.abc import Generator

import pytest
import structlog


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None]:
    result = yield
    structlog.reset_defaults()  # a command may have set logs up for an output that is closed by now
    return result
