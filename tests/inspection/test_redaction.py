"""exporter.inspection.redaction: what may be seen of an exchange, and that nothing else can be."""

import base64
import gzip
import html
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cms.foreign_text import MASK
from exporter.cms.proxy import ChosenProxy
from exporter.endpoint import proxy_endpoint
from exporter.inspection.recording import Recorded
from exporter.inspection.redaction import Redaction
from exporter.secret import Secret
from exporter.server import Auth, Server, Signature, StaticAuthorization
from tests.support.cms_peer import answer

NAME = "Canary Oropendola"
KEY, SECRET, HEADER = "AKCANARY0001", "canary-secret/key+1", "canary-tenant"
SERVER = Server(
    "https://cms.example:28443",
    auth=Signature(Secret(KEY), Secret(SECRET)),
    headers=(("x-tenant", Secret(HEADER)), ("user-agent", Secret("canary-agent"))),
)


def reply(
    body: bytes, status: int = 200, *headers: tuple[bytes, bytes], complete: bool = True
) -> Recorded:
    """An exchange with that reply."""
    recorded = Recorded("POST", "/rest", status=status, complete=complete)
    recorded.reply_headers = headers
    recorded.reply_body += body
    return recorded


def lines(recorded: Recorded, *, show_names: bool = False) -> list[str]:
    """What is shown of a reply's body, with what is said about it as the last line."""
    shown = Redaction(SERVER, show_names=show_names).reply(recorded)
    assert shown is not None
    return [*shown.body, *([f"({shown.note})"] if shown.note else [])]


def test_a_listing_is_laid_out_with_its_names_masked() -> None:
    """A row is a line; numbers are as sent, and fields that the interface has not are masked."""
    body = (
        b'{"resultCode":"0100000","resultDesc":{"onRestNum":1,"allowRestNum":1.0e0,"agentsRestDetails"'
        b':[{"agentName":"Canary","workNo":"1001","phone":5551234,"cantRestReason":null,'
        b'"alias":"Canary","on":true,"beginTime":1750000000000}]},"trace":[]}'
    )
    assert lines(reply(body)) == [
        "{",
        '  "resultCode": "0100000",',
        '  "resultDesc": {',
        '    "onRestNum": 1,',
        '    "allowRestNum": 1.0e0,',
        '    "agentsRestDetails": [',
        (
            '      {"agentName": "***", "workNo": "1001", "phone": "***", "cantRestReason": null, '
            '"alias": "***", "on": true, "beginTime": 1750000000000}'
        ),
        "    ]",
        "  },",
        '  "trace": []',
        "}",
    ]


def test_names_are_shown_if_they_are_asked_for() -> None:
    """Without what would move a terminal's cursor; other texts stay masked."""
    body = json.dumps({"agentsRestDetails": [{"agentName": "丝\x1b[2J", "alias": NAME}]}).encode()
    assert lines(reply(body), show_names=True)[2] == '    {"agentName": "丝?[2J", "alias": "***"}'
    empty = lines(reply(b'{"agentName":" ","rows":[{}]}'))
    assert empty == ["{", '  "agentName": " ",', '  "rows": [', "    {}", "  ]", "}"]


def test_what_a_server_says_about_a_failure_is_shown() -> None:
    """Without the secrets and names that it repeats."""
    said = f"user {KEY} is not allowed, says {NAME}"
    body = json.dumps({"code": 403, "message": said, "agentName": NAME}).encode()
    found = lines(reply(body, 403))
    assert found == ['{"code": "***", "message": "***", "agentName": "***"}']
    body = json.dumps({"code": 403, "message": f"user {KEY} is not allowed"}).encode()
    assert lines(reply(body, 403)) == ['{"code": 403, "message": "user *** is not allowed"}']
    assert lines(reply(b'"down"', 503)) == ['"down"']
    assert lines(reply(b'""', 503)) == ['""']
    page = b"<html>\n <title>Bad\n gateway</title>"
    assert lines(reply(page, 502)) == [
        "<html> <title>Bad gateway</title>",
        "(not valid JSON at character 1; white space is shortened)",
    ]


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"", (), "(no body)"),
        (
            b'{"agentName": "Canary',
            (),
            "(21 bytes, not valid JSON at character 15: not shown, because it may contain names)",
        ),
        (
            b'<?xml version="1.0"?><name>Canary</name>',
            (),
            "(40 bytes, not valid JSON at character 1: not shown, because it may contain names)",
        ),
        (
            b"\x00\xff",
            (),
            "(2 bytes, not valid JSON: not shown, because it may contain names)",
        ),
        (
            f"bad key {base64.b64encode(SECRET.encode()[1:]).decode()}".encode(),
            (),
            None,
        ),
        (
            b"[" * 100_000,
            (),
            "(100000 bytes, not valid JSON: not shown, because it may contain names)",
        ),
        (
            b"agentName=Canary",
            (),
            "(16 bytes, not valid JSON at character 1: not shown, as it may contain a secret)",
        ),
        (b"Canary", ((b"Content-Encoding", b"gzip"),), "(6 bytes that cannot be decompressed)"),
    ],
)
def test_what_cannot_be_understood_is_not_shown(
    body: bytes, headers: tuple[tuple[bytes, bytes], ...], expected: str | None
) -> None:
    """But its size is, and where it stops being JSON."""
    found = lines(reply(body, 200, *headers))
    if expected is not None:
        assert found == [expected]
    assert "anary" not in "".join(found)


def test_a_compressed_reply_is_shown_decompressed() -> None:
    """Also one that begins with a byte order mark."""
    packed = gzip.compress(b'\xef\xbb\xbf{"result": "0"}')
    recorded = reply(packed, 200, (b"Server", b"x"), (b"content-encoding", b"GZIP"))
    assert lines(recorded) == ['{"result": "0"}']


def test_an_incomplete_reply_says_so() -> None:
    """Whoever reads it must not take its end for the server's."""
    assert lines(reply(b'"so', complete=False))[-1].endswith("; only the first part was received)")
    assert lines(reply(b'"so"', complete=False)) == ['"so"', "(only the first part was received)"]
    assert Redaction(SERVER).reply(Recorded("POST", "/rest")) is None


def test_more_names_than_can_be_looked_for() -> None:
    """The reply is treated like a listing."""
    people = ",".join('"agentName":"Canary"' for _ in range(201))
    (line,) = lines(reply(f'{{"message":"Canary",{people}}}'.encode()))
    assert "anary" not in line
    (line,) = lines(reply(f"x {people}".encode()))
    assert line.endswith("not valid JSON at character 1: not shown, as it may contain a secret)")


def test_the_headers_of_a_reply() -> None:
    """Known ones as far as they are harmless; of others the name, if it looks like one."""
    headers = {
        "Date": "Thu, 26 Nov 2026 17:53:25 GMT",
        "Location": f"https://sso.example/login;s=1?session={NAME}",
        "Set-Cookie": "session=canary",
        "X-Agent": NAME,
        "X Odd": "1",
        "X-Nothing": "",
        "Via": f"1.1 {KEY}",
    }
    shown = Redaction(SERVER).reply(
        reply(b"", 302, *((name.encode(), value.encode()) for name, value in headers.items()))
    )
    assert shown is not None
    assert shown.first_line == "HTTP 302"
    assert shown.headers == (
        ("Date", "Thu, 26 Nov 2026 17:53:25 GMT"),
        ("Location", "https://sso.example/login?***"),
        ("Set-Cookie", MASK),
        ("X-Agent", MASK),
        (MASK, MASK),
        ("X-Nothing", ""),
        ("Via", "1.1 ***"),
    )


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (
            f"auth-v2/{KEY}/2026-11-26T17:53:25.854Z/content-length;host/{'ab' * 32}",
            "auth-v2/***/2026-11-26T17:53:25.854Z/content-length;host/***",
        ),
        (f"Bearer {SECRET}", MASK),
        (f"auth-v2/{KEY}", MASK),
    ],
)
def test_the_headers_of_a_request(sent: str, shown: str) -> None:
    """Only what the exporter sets itself; a header of the configuration is never one of these."""
    headers = {
        "host": "cms.example:28443",
        "user-agent": "canary-agent",
        "x-tenant": HEADER,
        "proxy-authorization": "Basic Y2FuYXJ5",
        "content-length": "33",
        "authorization": sent,
    }
    recorded = Recorded("POST", "/rest", request_body=b'{"queryParam":{}}')
    recorded.request_headers = [(n.encode(), v.encode()) for n, v in headers.items()]
    found = Redaction(SERVER).request(recorded)
    assert (found.first_line, found.body) == ("POST /rest", ('{"queryParam":{}}',))
    assert dict(found.headers) == {
        "host": "cms.example:28443",
        "user-agent": MASK,
        "x-tenant": MASK,
        "proxy-authorization": MASK,
        "content-length": "33",
        "authorization": shown,
    }


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda text: quote(text, safe=""),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "json": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
    "html": html.escape,
    "hex": lambda text: text.encode().hex(),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("auth", [SERVER.auth, StaticAuthorization(Secret(SECRET))])
@pytest.mark.parametrize("listing", [False, True])
def test_no_secret_survives_in_any_place_and_encoding(
    encoding: str, auth: Auth, *, listing: bool
) -> None:
    """A server may repeat what it was sent wherever it likes."""
    proxy = ChosenProxy(proxy_endpoint("http://user:canary-pass@proxy.example"), "proxy_url")
    server = Server(SERVER.url, auth=auth, headers=SERVER.headers)
    secrets = [SECRET, HEADER, "canary-pass", *([KEY] if isinstance(auth, Signature) else [])]
    for secret in secrets:
        told = ENCODINGS[encoding](secret)
        row = {"agentName": NAME, "workNo": told, "alias": NAME, told: NAME, "beginTime": told}
        shape = {"resultCode": told, "resultDesc": f"key {told}!", told: told}
        bodies = [json.dumps(shape | ({"rows": [row]} if listing else {})).encode()]
        bodies += [f"<p>key {told}</p>".encode(), f'{{"x": "{told}'.encode()]
        if encoding == "json":
            # as the escapes of the JSON itself
            bodies += [body.replace(b"\\\\u", b"\\u") for body in bodies]
        for body in bodies:
            names = (b"Server", b"X-Echo", b"Location", b"Via", told.encode())
            recorded = reply(body, 401, *((name, told.encode()) for name in names))
            found = repr(Redaction(server, proxy).reply(recorded))
            assert secret not in found
            assert told not in found
            assert "ropendola" not in found


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_stays_json_of_the_same_shape(value: object) -> None:
    """Nothing is lost or added: only texts, keys and numbers may be masked."""

    def shape(found: object) -> object:
        if isinstance(found, list):
            return [shape(each) for each in found]
        return found if isinstance(found, bool | tuple | None) else "scalar"

    def pairs(found: list[tuple[str, object]]) -> tuple[object, ...]:
        return tuple(shape(inner) for _, inner in found)

    text = json.dumps(value)
    shown = "\n".join(lines(reply(text.encode())))
    assert shape(json.loads(shown, object_pairs_hook=pairs)) == shape(
        json.loads(text, object_pairs_hook=pairs)
    )


def test_ten_thousand_rows_are_quick() -> None:
    """A long listing is what a person looks at as well."""
    shown = lines(reply(answer(*range(10_000), resting=10_000)))
    assert len(shown) > 10_000
    assert "Zhang" not in "".join(shown)
