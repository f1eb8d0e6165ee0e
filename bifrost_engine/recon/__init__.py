"""Comparison of our orders and books with a snapshot of the broker's: what differs, and what follows."""

from bifrost_engine.recon.rules import RULES, reconcile

__all__ = ["RULES", "reconcile"]
