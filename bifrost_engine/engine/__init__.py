"""``Engine.handle(event) -> effects``: the whole program, without a clock and without I/O."""

from bifrost_engine.engine.engine import Engine

__all__ = ["Engine"]
