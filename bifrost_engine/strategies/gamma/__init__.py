"""The gamma scalper: keeps an option book's delta near zero by trading the stock."""

from bifrost_engine.strategies.gamma.scalper import GammaStrategy

__all__ = ["GammaStrategy"]
