"""Prices and sensitivities of single options, in floats: European, American, implied, and bounds on them."""
