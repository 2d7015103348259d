"""Checks a request's C2 signature, as the server does.

Pure: the raw request, the keys and the time in, a sentence out. Written independently of the
client's signing code, and must never import it: the same mistake in both would go unnoticed.

The scheme, from the vendor's page on interface authentication:

    Authorization: auth-v2/ACCESS KEY/TIMESTAMP/SIGNED HEADERS/SIGNATURE
    signing key = hex(HMAC-SHA256(secret key, everything before the last slash))
    SIGNATURE   = hex(HMAC-SHA256(signing key, canonical request))
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qsl

ALLOWED_DRIFT = 900.0
"""Seconds that a timestamp may differ from the server's clock."""

_FORM = re.compile(
    rb"(?P<prefix>auth-v2/(?P<key>[^/]+)/(?P<time>[^/]+)/(?P<names>[^/]+))"
    rb"/(?P<signature>[0-9a-f]{64})"
)
_TIMESTAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?Z")
_NAME = re.compile(rb"[a-z0-9-]+")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ENCODED = tuple(b"%c" % code if code in _UNRESERVED else b"%%%02X" % code for code in range(256))


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as received, nothing normalized.

    Args:
        method: in capitals.
        path: as sent, without the query.
        query: the part after the question mark, as sent; empty if there is none.
        headers: names and values as sent, in any order and case.
        body: the bytes.
    """

    method: str
    path: str
    query: str
    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)
    body: bytes = field(repr=False)


def verify(
    request: RawRequest,
    access_keys: Mapping[str, str],
    now: float,
    allowed_drift: float = ALLOWED_DRIFT,
) -> str:
    """Why the server refuses a request, in one sentence; empty if the signature is valid.

    The signature comes before the clock, so that a timestamp is refused for its age only if the
    client has really signed it.

    `now` is in seconds since the epoch; a timestamp may differ from it by `allowed_drift` seconds.
    """
    headers: dict[bytes, list[bytes]] = {}
    for name, value in request.headers:
        headers.setdefault(name.lower(), []).append(value)
    try:
        form = _form(headers.get(b"authorization", []))
        signed_at = _instant(form["time"])
        names = form["names"].split(b";")
        _check_names(names, headers)
        _check_signature(form, _canonical(request, names, headers), access_keys)
        _check_clock(signed_at, now, allowed_drift)
    except _RefusedError as refused:
        return str(refused)
    return ""


class _RefusedError(Exception):
    """One sentence for people says why, without secrets."""


def _form(given: Sequence[bytes]) -> re.Match[bytes]:
    """The parts of the Authorization header."""
    if not given:
        raise _RefusedError("the Authorization header is missing")
    form = _FORM.fullmatch(given[0])
    if form is None or len(given) > 1:
        raise _RefusedError(
            "Authorization must be one auth-v2/ACCESS KEY/TIMESTAMP/SIGNED HEADERS/SIGNATURE",
        )
    return form


def _instant(text: bytes) -> float:
    """Seconds since the epoch."""
    form = _TIMESTAMP.fullmatch(text)
    if form is not None:
        with suppress(ValueError):  # digits in the right places may not be a date
            whole = datetime.strptime(form[1].decode() + "Z", "%Y-%m-%dT%H:%M:%S%z")
            return whole.timestamp() + float(form[2] or 0)
    raise _RefusedError("the timestamp must be UTC in ISO 8601, such as 2024-10-31T14:06:52.123Z")


def _check_names(names: Sequence[bytes], headers: Mapping[bytes, Sequence[bytes]]) -> None:
    if list(names) != sorted(set(names)) or not all(map(_NAME.fullmatch, names)):
        raise _RefusedError("the signed headers must be lowercase names, sorted, joined by ';'")
    if b"authorization" in names:
        raise _RefusedError("Authorization cannot be a signed header")
    if b"host" not in names:
        raise _RefusedError("host must be a signed header")
    for name in names:
        if len(headers.get(name, ())) != 1:
            raise _RefusedError(f"the signed header {name.decode()} must occur exactly once")


def _check_signature(
    form: re.Match[bytes], canonical: bytes, access_keys: Mapping[str, str]
) -> None:
    secret_key = access_keys.get(form["key"].decode("latin-1"))
    if secret_key is None:
        raise _RefusedError("the access key is unknown")
    signing_key = _hmac_hex(secret_key.encode(), form["prefix"])
    if not hmac.compare_digest(_hmac_hex(signing_key, canonical), form["signature"]):
        raise _RefusedError("the signature does not match the request and the key")


def _check_clock(signed_at: float, now: float, allowed_drift: float) -> None:
    drift = signed_at - now
    if abs(drift) > allowed_drift:
        raise _RefusedError(
            f"the timestamp is {abs(drift):.0f} s {'ahead of' if drift > 0 else 'behind'} the"
            f" server's clock; {allowed_drift:.0f} s are allowed",
        )


def _canonical(
    request: RawRequest, names: Sequence[bytes], headers: Mapping[bytes, Sequence[bytes]]
) -> bytes:
    """The signed text: lines joined by newlines, with a line for the query only if there is one."""
    lines = [request.method.encode(), _bytes(request.path)]
    if request.query:
        pairs = parse_qsl(request.query, keep_blank_values=True)
        lines.append(
            b"&".join(
                _encode(_bytes(name)) + b"=" + _encode(_bytes(value))
                for name, value in sorted(pairs)
            )
        )
    lines.append(b";".join(names))
    lines.extend(_encode(name) + b":" + _encode(headers[name][0]) for name in names)
    lines.append(_encode(request.body))
    return b"\n".join(lines)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")  # how aiohttp keeps bytes that are not UTF-8


def _encode(data: bytes) -> bytes:
    return b"".join([_ENCODED[code] for code in data])


def _hmac_hex(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).hexdigest().encode()
