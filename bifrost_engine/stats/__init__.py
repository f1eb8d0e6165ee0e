"""Statistics over what was recorded: hedges, results, slippage, blocks and time in states, by period.

Reads records, tables of a database or a backtest's folder; runs no engine and writes nothing.
"""
