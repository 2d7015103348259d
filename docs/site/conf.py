"""How Sphinx builds the site from the pages in docs/: `make site`.

The pages are plain Markdown, which a forge shows as it is; what only a site has is in this folder.
"""

import os
import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "agent-rest-exporter"
author = "the agent-rest-exporter authors"
project_copyright = "%Y, " + author
_VERSION = re.search(
    r'^__version__ = "(.+)"$',
    (HERE.parents[1] / "exporter" / "__init__.py").read_text(encoding="utf-8"),
    re.MULTILINE,
)
if _VERSION is None:
    raise SystemExit("exporter/__init__.py has no __version__ = …")
release = version = _VERSION[1]

extensions = ["myst_parser", "plain_markdown", "sphinx_copybutton"]
root_doc = "index"
exclude_patterns = ["site/**"]

# Anchors are those that the forge gives to headings, so that a link works in both places.
myst_heading_anchors = 4
myst_enable_extensions = ["linkify"]
myst_linkify_fuzzy_links = False
# Readers copy settings out of sentences: quotes stay as they are written.
smartquotes = False
# A fence without a language is text, not Python.
highlight_language = "text"
# Pygments' lexer for PromQL knows neither recording rules nor subqueries; a test parses each query.
suppress_warnings = ["misc.highlighting_failure"]

# Where files outside docs/ are: a site of a release links to that release's tag.
repository = "https://github.com/agent-rest-exporter/agent-rest-exporter"
repository_ref = os.environ.get("SITE_REF", "main")

html_theme = "furo"
html_title = f"agent-rest-exporter {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "source_repository": f"{repository}/",
    "source_branch": repository_ref,
    "source_directory": "docs/",
    "light_css_variables": {
        "color-brand-primary": "#8a3a12",
        "color-brand-content": "#8a3a12",
    },
    "dark_css_variables": {
        "color-brand-primary": "#f0a57c",
        "color-brand-content": "#f0a57c",
    },
}


def level_captions(
    _app: object, _page: str, _template: str, context: dict[str, object], _doctree: object
) -> None:
    """Give the navigation's captions a level, without which a screen reader cannot place them."""
    tree = str(context.get("furo_navigation_tree", ""))
    leveled = tree.replace('role="heading">', 'role="heading" aria-level="2">')
    context["furo_navigation_tree"] = leveled


def setup(app: Sphinx) -> None:
    """Sphinx calls this. After the theme, which writes the navigation."""
    app.connect("html-page-context", level_captions, priority=900)
