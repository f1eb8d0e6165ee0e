"""PostgreSQL for Bifrost: the sink, the control source, the schema and its upkeep."""
