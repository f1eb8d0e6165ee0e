"""The ordered chain that every intent passes: a strategy's gates, then the account's controls."""
