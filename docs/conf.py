"""How Sphinx builds this documentation; the reference's tables come from the code (``ext/bifrost_docs``)."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "ext"))

project = "Bifrost"
author = "The Bifrost developers"
release = version = version_of("bifrost-engine")

extensions = ["myst_parser", "bifrost_docs.generated"]
exclude_patterns = ["_build", "ext", "examples", "requirements.txt"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nitpicky = True

html_theme = "furo"
html_title = f"Bifrost {release}"
html_static_path = ["_static"]
html_copy_source = False
html_show_copyright = False
templates_path: list[str] = []
