"""Makes ``docs/ext`` importable, as ``docs/conf.py`` does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "ext"))
