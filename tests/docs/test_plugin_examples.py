"""The plugins that the documentation shows pass the suites that it tells authors to use."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "examples"))

from instant_broker import InstantBroker
from walk_feed import WalkFeed

from bifrost_engine.testing import BrokerConformance, FeedConformance, make_config


class TestInstantBroker(BrokerConformance):
    def make(self, context):
        return InstantBroker(make_config(InstantBroker.Config, account=self.account), context)


class TestWalkFeed(FeedConformance):
    def make(self, context):
        return WalkFeed(make_config(WalkFeed.Config, seconds=600), context)
