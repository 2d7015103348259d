"""What the pages for people share: templates, style, script, and the policy that guards them.

They work without JavaScript, refresh themselves with it, and load nothing else: style and script
are in each page, so that it is one request, behind any proxy and under any prefix. Everything is
escaped, and the policy lets a browser run the page's own script and nothing else.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import resources
from typing import Any, Final
from urllib.parse import quote, urlencode

from aiohttp import hdrs
from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter.clock import Moment
from exporter.rest import Doubt
from exporter.store import TargetKey
from exporter.web import sparkline
from exporter.web import status_words as words
from exporter.web.target_query import MAX_SEARCH, TargetStatus, parameters

_PIECES_A_SLICE: Final = 500
"""The template yields text and values piece by piece, about fifty for a row."""
_MOST_PROBLEMS: Final = 20
"""Of a configuration that are shown: the log and the command `check` have all."""

_FILES: Final = resources.files(__package__).joinpath("templates")
_STYLE: Final = _FILES.joinpath("style.css").read_text(encoding="utf-8")
_SCRIPT: Final = _FILES.joinpath("script.js").read_text(encoding="utf-8")
_ICON: Final = _FILES.joinpath("icon.svg").read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


HEADERS: Final[Mapping[str, str]] = {
    hdrs.CONTENT_TYPE: "text/html; charset=utf-8",
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'none'",
            f"style-src 'sha256-{_digest(_STYLE)}'",
            f"script-src 'sha256-{_digest(_SCRIPT)}'",
            "img-src data:",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    ),
    "Referrer-Policy": "no-referrer",
}
"""The response headers that belong to each page."""


class HtmlPages:
    """The templates of one exporter."""

    def __init__(self, *, version: str, telemetry_path: str) -> None:
        environment = Environment(
            loader=PackageLoader("exporter.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
        )
        environment.filters |= {each.__name__: each for each in (*_FILTERS, *words.FILTERS)}
        environment.globals |= {
            "Status": TargetStatus,
            "icon": f"data:image/svg+xml,{quote(_ICON)}",
            "doubts": list(Doubt),
            "max_search": MAX_SEARCH,
            "most_problems": _MOST_PROBLEMS,
            "orders": words.ORDERS,
            "script": _SCRIPT,
            "sparkline": sparkline.of,
            "statuses": words.STATUSES,
            "style": _STYLE,
            "telemetry_path": telemetry_path,
            "version": version,
        }
        # compiled now: it would hold up the polls during the first request
        for name in environment.list_templates(extensions=["html"]):
            environment.get_template(name)
        self._environment = environment

    def slices(self, template: str, now: Moment, **facts: Any) -> Iterator[bytes]:  # noqa: ANN401  # any of a template
        """A page at one moment, as slices to be joined."""
        stream = self._environment.get_template(template).stream(now=now, **facts)
        stream.enable_buffering(_PIECES_A_SLICE)
        yield from map(str.encode, stream)


def target_url(key: TargetKey) -> str:
    """Where a target's own page is."""
    return f"./target?{urlencode(parameters(key))}"


def at(seconds: float) -> str:
    """A time, from epoch seconds: `2026-11-26 15:07:13 UTC`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def iso(seconds: float) -> str:
    """A time for programs, from epoch seconds: `2026-11-26T15:07:13Z`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


_FILTERS: Final = (at, iso, target_url)
