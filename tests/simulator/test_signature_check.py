"""The server's side of the C2 signature, against vectors computed independently."""

import json
import math
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from exporter.simulator.signature_check import RawRequest, verify
from tests.support.paths import FIXTURES

VECTORS: list[dict[str, Any]] = json.loads((FIXTURES / "signature-vectors.json").read_text("utf-8"))
VECTOR = VECTORS[1]
NO_MATCH = "the signature does not match the request and the key"
KEYS = {VECTOR["access_key"]: VECTOR["secret_key"]}


def request_of(vector: dict[str, Any], authorization: str | None = None) -> RawRequest:
    """The request that a vector describes, as it would arrive."""
    headers = vector["signed_headers"] | {"X-Other": "1"}
    headers["Authorization"] = authorization or vector["authorization"]
    return RawRequest(
        method=vector["method"],
        path=vector["uri"],
        query=urlencode(vector["query"]),
        headers=[(name.title().encode(), value.encode()) for name, value in headers.items()],
        body=vector["body"].encode(),
    )


def time_of(vector: dict[str, Any]) -> float:
    """The vector's timestamp in seconds since the epoch."""
    return datetime.fromisoformat(vector["timestamp"]).timestamp()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_every_vector_is_accepted(vector: dict[str, Any]) -> None:
    """What an independent implementation has signed is accepted."""
    keys = {"other": "key", vector["access_key"]: vector["secret_key"]}
    assert verify(request_of(vector), keys, time_of(vector)) == ""


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
@pytest.mark.parametrize("part", ["method", "path", "query", "body"])
def test_a_changed_part_breaks_the_signature(vector: dict[str, Any], part: str) -> None:
    """Every part of the request is covered."""
    request = request_of(vector)
    changed: dict[str, Any] = {part: b"x" + request.body if part == "body" else "/x=1"}
    keys = {vector["access_key"]: vector["secret_key"]}
    assert verify(replace(request, **changed), keys, time_of(vector)) == NO_MATCH


def test_a_changed_header_or_key_breaks_the_signature() -> None:
    """A signed header's value counts exactly as it is sent, and so does the secret key."""
    request = request_of(VECTOR)
    headers = [(n, v.replace(b";charset", b"; charset")) for n, v in request.headers]
    changed = verify(replace(request, headers=headers), KEYS, time_of(VECTOR))
    assert changed == NO_MATCH
    wrong_key = verify(request, {VECTOR["access_key"]: "wrong"}, time_of(VECTOR))
    assert wrong_key == NO_MATCH


def test_an_unknown_access_key_is_distinguished_from_a_wrong_secret() -> None:
    """The sentence names the access key as the cause."""
    assert verify(request_of(VECTOR), {"other": "key"}, time_of(VECTOR)) == (
        "the access key is unknown"
    )


@pytest.mark.parametrize(
    ("drift", "detail"),
    [
        (900.0, ""),
        (-900.0, ""),
        (901.0, "the timestamp is 901 s behind the server's clock; 900 s are allowed"),
        (-901.0, "the timestamp is 901 s ahead of the server's clock; 900 s are allowed"),
    ],
)
def test_a_clock_may_be_off_by_the_allowed_drift(drift: float, detail: str) -> None:
    """A quarter of an hour either way is accepted, a second more is refused."""
    assert verify(request_of(VECTOR), KEYS, time_of(VECTOR) + drift) == detail


def test_an_infinite_drift_accepts_any_clock() -> None:
    """An accelerated server can be told to accept every timestamp."""
    assert verify(request_of(VECTOR), KEYS, 0.0, allowed_drift=math.inf) == ""


NOT_A_TIMESTAMP = "the timestamp must be UTC in ISO 8601, such as 2024-10-31T14:06:52.123Z"
NOT_THE_FORM = "Authorization must be one auth-v2/ACCESS KEY/TIMESTAMP/SIGNED HEADERS/SIGNATURE"
NOT_SORTED = "the signed headers must be lowercase names, sorted, joined by ';'"


@pytest.mark.parametrize(
    ("old", "new", "detail"),
    [
        ("auth-v2/", "auth-v1/", NOT_THE_FORM),
        ("/c5eb53", "/C5EB53", NOT_THE_FORM),
        ("/content-length;", "/x/content-length;", NOT_THE_FORM),
        ("14:06:52.123Z", "14:06:52+00:00", NOT_A_TIMESTAMP),
        ("2024-10-31", "2024-13-31", NOT_A_TIMESTAMP),
        ("content-length;content-type", "content-type;content-length", NOT_SORTED),
        ("content-length;content-type", "host;host", NOT_SORTED),
        ("content-length", "Content-Length", NOT_SORTED),
        ("content-length;", ";", NOT_SORTED),
        (
            "content-length;content-type",
            "authorization",
            "Authorization cannot be a signed header",
        ),
        (
            "content-length",
            "accept",
            "the signed header accept must occur exactly once",
        ),
        (
            "content-type;host",
            "content-type",
            "host must be a signed header",
        ),
    ],
)
def test_a_header_against_the_form_is_refused(old: str, new: str, detail: str) -> None:
    """Each mistake in the header has its own message."""
    authorization = VECTOR["authorization"].replace(old, new, 1)
    assert authorization != VECTOR["authorization"]
    request = request_of(VECTOR, authorization)
    assert verify(request, KEYS, time_of(VECTOR)) == detail


def test_headers_that_are_missing_or_doubled_are_refused() -> None:
    """Neither no Authorization nor two of them, nor a signed header twice."""
    request = request_of(VECTOR)
    bare = [(name, value) for name, value in request.headers if name != b"Authorization"]
    twice = [*request.headers, (b"authorization", VECTOR["authorization"].encode())]
    two_hosts = [*request.headers, (b"host", b"elsewhere")]
    refusals = [
        verify(replace(request, headers=headers), KEYS, time_of(VECTOR))
        for headers in (bare, twice, two_hosts)
    ]
    assert refusals == [
        "the Authorization header is missing",
        NOT_THE_FORM,
        "the signed header host must occur exactly once",
    ]


def test_bytes_that_are_not_utf_8_are_checked_like_others() -> None:
    """A path and a query of any bytes get a sentence, not an error."""
    request = replace(request_of(VECTOR), path="/\udcff", query="a=\udcfe")
    assert verify(request, KEYS, time_of(VECTOR)) == NO_MATCH


def test_a_request_does_not_print_its_headers() -> None:
    """The Authorization header and the body stay out of a repr."""
    assert repr(request_of(VECTOR)) == (
        f"RawRequest(method='POST', path='{VECTOR['uri']}', query='')"
    )
