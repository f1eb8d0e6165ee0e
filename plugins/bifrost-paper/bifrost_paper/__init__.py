"""Paper broker and simulated market for Bifrost, both in event time and repeatable by seed."""
