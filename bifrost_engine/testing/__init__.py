"""What a plugin's author needs for tests: builders of values, a clock, and conformance suites.

Subclass a suite in a test file, say how the plugin is made, and run pytest:

    class TestMySink(SinkConformance):
        def make(self, context):
            return MySink(MySink.Config(), context)

Nothing here is used by a running daemon; it needs pytest and the engine alone.
"""

import pytest

# Before they are imported: a failing suite then shows the values that it compared.
pytest.register_assert_rewrite(
    *(
        f"bifrost_engine.testing.{name}"
        for name in ("conformance", "broker", "trading", "sink", "feed", "strategy")
    )
)

from bifrost_engine.clock import EventClock  # noqa: E402
from bifrost_engine.testing.broker import BrokerConformance  # noqa: E402
from bifrost_engine.testing.build import (  # noqa: E402
    RecordingContext,
    StaticView,
    make_config,
    make_context,
    make_execution,
    make_fill,
    make_operation,
    make_order_request,
    make_quote,
    make_snapshot,
)
from bifrost_engine.testing.feed import FeedConformance  # noqa: E402
from bifrost_engine.testing.sink import SinkConformance  # noqa: E402
from bifrost_engine.testing.strategy import StrategyConformance  # noqa: E402

__all__ = [
    "BrokerConformance",
    "EventClock",
    "FeedConformance",
    "RecordingContext",
    "SinkConformance",
    "StaticView",
    "StrategyConformance",
    "make_config",
    "make_context",
    "make_execution",
    "make_fill",
    "make_operation",
    "make_order_request",
    "make_quote",
    "make_snapshot",
]
