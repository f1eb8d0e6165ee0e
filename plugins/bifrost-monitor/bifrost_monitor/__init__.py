"""Watch a daemon and stop it from another host, through its database alone."""

__version__ = "0.1.0"
