"""Replay and backtest: recorded markets in event time."""
