"""Interactive Brokers for Bifrost.

This release checks the ``ib:`` section of a configuration; it can't connect yet, and says so
when a run selects it.
"""
