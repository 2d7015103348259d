"""The C2 request signature (`auth-v2`) of CC-CMS: pure functions over the bytes that are sent.

The source is the vendor's page *C2 Monitoring … Authentication* and its public Java demo. Our
requests have no query, so that the canonical request has no line for it.

    prefix     = auth-v2/ACCESS_KEY/TIMESTAMP/SIGNED_HEADERS
    signingKey = hex(HMAC-SHA256(key=SECRET_KEY, message=prefix))
    signature  = hex(HMAC-SHA256(key=signingKey, message=canonicalRequest))
    header     = prefix/signature
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote

# `quote` itself takes twice as long, for every body of every poll
_ESCAPED: Final = tuple(quote(bytes((byte,)), safe="") for byte in range(256))


def timestamp(epoch_seconds: float) -> str:
    """UTC in ISO 8601 with milliseconds, as CC-CMS' page writes it: `2024-10-31T14:06:52.123Z`."""
    second, microsecond = divmod(round(epoch_seconds * 1e6), 10**6)
    return f"{_second(second)}.{microsecond // 1000:03}Z"


def canonical_head(
    method: str, path: str, signed_headers: Mapping[str, str], *, empty_query_line: bool = False
) -> str:
    """The canonical request up to its body: the part that many requests share.

    Names are in lower case, values and path exactly as they are sent. `empty_query_line` adds a
    line for the query, though there is none.
    """
    lines = [method, path, *([""] if empty_query_line else []), signed_names(signed_headers)]
    headers = sorted(signed_headers.items())
    lines += [f"{_encode(name)}:{_encode(value)}" for name, value in headers]
    return "\n".join(lines)


def with_body(head: str, body: bytes) -> str:
    """The whole canonical request, with exactly the bytes that are sent."""
    return f"{head}\n{''.join([_ESCAPED[byte] for byte in body])}"


def signed_names(signed_headers: Mapping[str, str]) -> str:
    """The names of the signed headers, as they stand in the canonical request and the prefix."""
    return ";".join(sorted(signed_headers))


def prefix(access_key: str, at: str, names: str) -> str:
    """The `Authorization` header before the signature, of a `timestamp` and of `signed_names`."""
    return f"auth-v2/{access_key}/{at}/{names}"


def signing_key(secret_key: str, header_prefix: str) -> str:
    """The key for one request's signature, as lower-case hexadecimal text."""
    return _hmac(secret_key.encode(), header_prefix)


def authorization(secret_key: str, header_prefix: str, canonical: str) -> str:
    """The whole value of the `Authorization` header."""
    key = signing_key(secret_key, header_prefix)
    return f"{header_prefix}/{_hmac(key.encode(), canonical)}"


def _hmac(key: bytes, message: str) -> str:
    # with the name "sha256" OpenSSL 3 looks its HMAC up for every call, in twice the time
    return hmac.digest(key, message.encode(), _sha256).hex()


def _sha256(data: bytes = b"") -> "hashlib._Hash":
    return hashlib.sha256(data)


@lru_cache(maxsize=2)  # hundreds of requests share each second
def _second(epoch_seconds: int) -> str:
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat().removesuffix("+00:00")


def _encode(text: str | bytes) -> str:
    """Percent-encode the UTF-8 bytes of everything but letters, digits and `-._~`."""
    return quote(text, safe="")
