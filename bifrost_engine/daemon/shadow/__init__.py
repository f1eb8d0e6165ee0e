"""Other settings beside the live ones: processes on the live run's quotes, each with a paper account."""
