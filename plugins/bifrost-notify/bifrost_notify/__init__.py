"""Alerts for people, wherever they are, through apprise: what a daemon and its monitor have to tell."""

__version__ = "0.1.0"
