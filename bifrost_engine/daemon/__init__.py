"""The daemon: the host that runs for days, with real plugins, signals, a lock and a journal on disk."""
