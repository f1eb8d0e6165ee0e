"""From what the gateway says to what the engine hears, and nothing else: no library, no clock, no I/O.

Each module reads the values of ``messages`` and answers with values of the engine's domain:

- ``codes``      what a message code means for an order, and for the session
- ``contracts``  the gateway's contracts and the engine's, with its key
- ``executions`` executions, their ids, their times, their costs
- ``orders``     what is known of one order, and what a message makes of it
- ``register``   the orders of a session: which of them a message speaks of
- ``ticks``      ticks of one instrument to its quote
- ``account``    summaries and positions
- ``snapshot``   an account's whole state from its parts

Whatever the numbers are, nothing here raises and nothing becomes a number that wasn't one:
NaN, the largest double and what can't be read are missing, and counted.
"""
