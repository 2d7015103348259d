"""The page's style and script, and the policy that lets a browser use these two and nothing else.

Both stand in the page itself, so that it is one request, behind any proxy and under any prefix.
"""

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs

_FILES: Final = resources.files(__package__)
STYLE: Final = _FILES.joinpath("style.css").read_text(encoding="utf-8")
SCRIPT: Final = _FILES.joinpath("script.js").read_text(encoding="utf-8")

_ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<rect width="16" height="16" rx="4" fill="#0b5c68"/>'
    '<path d="M5 4v8M11 4v8" stroke="#fff" stroke-width="2.5" stroke-linecap="round"/></svg>'
)
ICON: Final = f"data:image/svg+xml,{quote(_ICON)}"
"""A sign of pause, as a URL."""


def _source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


HEADERS: Final[Mapping[str, str]] = {
    hdrs.CONTENT_TYPE: "text/html; charset=utf-8",
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'none'",
            f"style-src {_source(STYLE)}",
            f"script-src {_source(SCRIPT)}",
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
"""The response headers that belong to the page."""
