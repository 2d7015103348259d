"""Builds a site from Markdown that contains nothing for a site.

Two things differ between a forge and a site. The navigation of a site follows from the links of its
index pages, section by section; and a file outside docs/, such as an alert rule, is not a page of
the site, so a link to it leads to the repository.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

INDEXES = ("index", "runbooks/README")
"""Pages whose links to other pages are the navigation, in their order."""
PICTURES = (".png", ".svg")
_FENCE = re.compile(r"^(?P<fence>```+|~~~+).*?^(?P=fence)[ \t]*$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
_TITLED_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)([^)\s#]+)\)")
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)


def outside_fences(text: str, change: Callable[[str], str]) -> str:
    """The text with what is not in a fenced block changed."""
    changed = []
    end = 0
    for block in _FENCE.finditer(text):
        changed += [change(text[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*changed, change(text[end:])])


def links_to_repository(text: str, page: Path, root: Path, url: str, ref: str) -> str:
    """The text of a page with its links to files outside `root` leading to the repository."""

    def replace(link: re.Match[str]) -> str:
        target = (page.parent / link[1]).resolve()
        if target.is_relative_to(root) and not target.is_dir():
            return link[0]
        if target.suffix in PICTURES:
            return link[0]  # Sphinx copies a picture from anywhere
        if not target.exists():
            raise ExtensionError(f"{page}: the link {link[1]} leads nowhere")
        kind = "tree" if target.is_dir() else "blob"
        path = target.relative_to(root.parent).as_posix()
        return f"{url}/{kind}/{ref}/{path}{link[2] or ''}"

    return outside_fences(text, lambda part: _LINK.sub(replace, part))


def navigation(text: str, page: Path, root: Path) -> str:
    """Hidden tables of contents, one for each section of an index page that links to pages.

    A page is called what its link is called. What comes before the first section counts only if
    there is no section.
    """
    tables = []
    seen: set[str] = set()
    first, *rest = _SECTION.split(text)
    sections = zip(rest[::2], rest[1::2], strict=True) if rest else [("", first)]
    for caption, body in sections:
        entries = []
        for title, link in _TITLED_LINK.findall(body):
            target = (page.parent / link).resolve()
            if target.suffix == ".md" and target.is_relative_to(root):
                name = "/" + target.relative_to(root).with_suffix("").as_posix()
                if name not in seen:
                    seen.add(name)
                    entries.append(f"{title} <{name}>")
        if entries:
            options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
            tables.append("\n".join(["```{toctree}", *options, "", *entries, "```"]))
    return "\n\n".join(tables)


def adapt(app: Sphinx, name: str, source: list[str]) -> None:
    """Adapt a page before it is parsed."""
    root = Path(app.srcdir).resolve()
    page = Path(app.env.doc2path(name)).resolve()
    text = source[0]
    if name in INDEXES:
        text = f"{text}\n\n{navigation(text, page, root)}\n"
    source[0] = links_to_repository(
        text, page, root, app.config.repository, app.config.repository_ref
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this."""
    app.add_config_value("repository", "", "env", str)
    app.add_config_value("repository_ref", "main", "env", str)
    app.connect("source-read", adapt)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
