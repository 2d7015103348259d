"""What a request signs, from its parts: as the client computes it, in one step."""

from collections.abc import Mapping

from exporter.cms.signing import canonical_head, with_body


def canonical_request(
    method: str, path: str, signed_headers: Mapping[str, str], body: bytes
) -> str:
    """The text that is signed. The client shares its head between requests."""
    return with_body(canonical_head(method, path, signed_headers), body)
