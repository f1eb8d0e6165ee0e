"""``python -m bifrost_ib.simgateway``."""

from bifrost_ib.simgateway.commands import simgateway

simgateway(prog_name="python -m bifrost_ib.simgateway")
