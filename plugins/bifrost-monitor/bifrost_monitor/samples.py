"""What the monitor itself has seen of the day: between hedges the database keeps no curve."""

from __future__ import annotations

from bifrost_monitor.answers import Point, Status

MOST = 10_000
DAY_S = 86_400.0


class Samples:
    """The newest points of each strategy, a day of them at most."""

    def __init__(self) -> None:
        self._points: dict[str, list[Point]] = {}

    def note(self, status: Status) -> None:
        """Keep the figures of each strategy whose time has moved on."""
        for state in status.strategies:
            if state.ts is None or state.strategy_id is None:
                continue
            points = self._points.setdefault(state.strategy_id, [])
            if points and state.ts < points[-1].ts:
                points.clear()  # a rehearsal that began anew
            if points and state.ts == points[-1].ts:
                continue
            points.append(
                Point(
                    ts=state.ts,
                    spot=state.spot,
                    net_delta=state.net_delta,
                    daily_pnl=state.daily_pnl,
                )
            )
            if len(points) > MOST or state.ts - points[0].ts > DAY_S:
                del points[: len(points) // 10 + 1]

    def of(self, strategy_id: str, since: float, until: float) -> list[Point]:
        """Return a strategy's points within bounds, oldest first."""
        return [point for point in self._points.get(strategy_id, ()) if since <= point.ts <= until]
