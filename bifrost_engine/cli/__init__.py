"""The command line: one module for each command, none with logic of its own."""
