"""Strategies that come with the engine."""
