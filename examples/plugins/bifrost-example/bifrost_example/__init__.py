"""An example for authors of Bifrost plugins: the sink ``jsonl`` and the strategy ``band``."""
