"""Settings of the site that `make docs` builds of these pages, with Sphinx."""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # of a checkout that is not installed

project = "kdlab"
copyright = "its authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["notebooks"]
html_theme = "furo"
html_title = "kdlab"
html_show_sphinx = False
# Formulas in pages stand between dollars; links lead to headings by the names that a forge gives these.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_use_ivar = True


def setup(app: Any) -> None:
    """Show links to folders of the checkout, which no site has, as plain text."""
    app.connect("source-read", _without_folders)


def _without_folders(app: Any, name: str, content: list[str]) -> None:
    folder = (Path(app.srcdir) / name).parent

    def shown(link: re.Match[str]) -> str:
        return link[1] if (folder / link[2]).is_dir() else link[0]

    content[0] = re.sub(r"\[([^\]]+)\]\((\.\./[^)#]+)\)", shown, content[0])
