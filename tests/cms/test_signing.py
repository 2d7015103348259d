"""exporter.cms.signing, against values computed by another implementation."""

import json
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cms import signing
from tests.support.paths import FIXTURES
from tests.support.signatures import canonical_request


class Vector(TypedDict):
    """One request of signature-vectors.json, with every intermediate value."""

    name: str
    access_key: str
    secret_key: str
    timestamp: str
    method: str
    uri: str
    query: dict[str, str]
    signed_headers: dict[str, str]
    body: str
    canonical_request: str
    signing_key: str
    authorization: str


def vectors() -> list[Vector]:
    """Every request of the file without a query: the client sends no other."""
    text = FIXTURES.joinpath("signature-vectors.json").read_text("utf-8")
    found: list[Vector] = json.loads(text)
    return [vector for vector in found if not vector["query"]]


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector["name"])
def test_a_vector_is_met_step_by_step(vector: Vector) -> None:
    """Canonical request, then key, then header: the first that differs says where the fault is."""
    canonical = canonical_request(
        vector["method"],
        vector["uri"],
        vector["signed_headers"],
        vector["body"].encode(),
    )
    assert canonical == vector["canonical_request"]

    names = signing.signed_names(vector["signed_headers"])
    prefix = signing.prefix(vector["access_key"], vector["timestamp"], names)
    assert signing.signing_key(vector["secret_key"], prefix) == vector["signing_key"]

    header = signing.authorization(vector["secret_key"], prefix, canonical)
    assert header == vector["authorization"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_730_383_612.123, "2024-10-31T14:06:52.123Z"),
        (1_730_383_612.9999, "2024-10-31T14:06:52.999Z"),
        (1_541_659_685, "2018-11-08T06:48:05.000Z"),
    ],
)
def test_a_timestamp_is_utc_with_milliseconds(seconds: float, text: str) -> None:
    """As the vendor's page writes it; never rounded up into a second that has not begun."""
    assert signing.timestamp(seconds) == text


def test_an_empty_line_for_the_query() -> None:
    """As five public clients write it, between path and names; nothing else differs."""
    without = canonical_request("POST", "/a", {"host": "b"}, b"{}")
    head = signing.canonical_head("POST", "/a", {"host": "b"}, empty_query_line=True)
    with_line = signing.with_body(head, b"{}")
    assert without == "POST\n/a\nhost\nhost:b\n%7B%7D"
    assert with_line == "POST\n/a\n\nhost\nhost:b\n%7B%7D"


@given(st.permutations(["host", "content-type", "content-length", "x-tenant"]))
def test_the_order_of_headers_does_not_matter(names: list[str]) -> None:
    """They are sorted, so that client and server come to the same text."""
    values = {name: f"value of {name}" for name in names}
    text = canonical_request("POST", "/", values, b"{}")

    assert text == canonical_request("POST", "/", dict(sorted(values.items())), b"{}")
    assert signing.signed_names(values) == "content-length;content-type;host;x-tenant"


@given(st.binary(max_size=60))
def test_every_byte_of_the_body_counts(body: bytes) -> None:
    """The encoded body holds safe characters only, and gives back the bytes that were signed."""
    encoded = canonical_request("POST", "/", {}, body).rsplit("\n", 1)[1]

    assert set(encoded) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%"
    )
    decoded = bytearray()
    rest = encoded
    while rest:
        if rest[0] == "%":
            assert rest[1:3] == rest[1:3].upper()
            decoded.append(int(rest[1:3], 16))
            rest = rest[3:]
        else:
            decoded.append(ord(rest[0]))
            rest = rest[1:]
    assert decoded == body
