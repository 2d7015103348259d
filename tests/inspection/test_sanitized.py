"""What is left of a recorded poll, and the proof that nothing personal or secret is."""

import base64
import gzip
import json
import re
import zlib
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import Moment
from exporter.errors import PollError, PollResult, Reason
from exporter.inspection.recording import Recorded
from exporter.inspection.sanitized import REFERENCE, Bodies, document
from exporter.secret import Secret
from exporter.server import Server, Signature, StaticAuthorization

NOW = 1_760_000_000.75
SHIFT = REFERENCE - 1_760_000_000
SERVER = Server("https://10.22.26.181:28443", auth=Signature(Secret("AK"), Secret("SK")))
QUESTION = b'{"queryParam":{"ccId":1,"vdn":2}}'


def clean(text: str | bytes) -> str:
    """A body, sanitized by itself."""
    data = text.encode() if isinstance(text, str) else text
    return Bodies(NOW).sanitized(data)


def recorded(
    body: bytes = b"{}",
    headers: list[tuple[str, str]] | None = None,
    status: int | None = 200,
    sent: list[tuple[str, str]] | None = None,
    target: str = "/rest/cmsapp/v1/openapi/agentgroup/agentrestinfos",
) -> Recorded:
    """One exchange."""

    def raw(pairs: list[tuple[str, str]] | None) -> list[tuple[bytes, bytes]]:
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs or []]

    return Recorded(
        "POST", target, raw(sent), QUESTION, status, raw(headers), bytearray(body), complete=True
    )


def written(*exchanges: Recorded, server: Server = SERVER, error: PollError | None = None) -> str:
    """The file."""
    moment = Moment(NOW, 1.0, 1.0)
    result = PollResult(moment, moment, None, error or PollError(Reason.HTTP, "canary sentence"))
    return document(exchanges, result, server, (1, 2))


def test_a_listing_keeps_what_it_says() -> None:
    """Counters, reasons, ages and repetitions; not who it is, and not when it was."""
    reply = json.dumps(
        {
            "result": "0",
            "resultCode": "0100000",
            "resultDesc": {
                "allowRestNum": 0,
                "onRestNum": "2",
                "waitRestNum": 1,
                "agentsRestDetails": [
                    {
                        "agentName": "Canary Oropendola",
                        "workNo": 55001,
                        "cantRestReason": 1,
                        "beginTime": 1_759_999_000_123,
                        "restDuration": 600,
                    },
                    {"agentName": "金丝雀", "workNo": "k-7", "beginTime": 2345, "team": "Lima"},
                    {"agentName": "Canary Oropendola", "workNo": 55001, "beginTime": 0},
                ],
            },
        },
        separators=(",", ":"),
    )
    assert clean(reply) == (
        '{"result":"0","resultCode":"0100000","resultDesc":{"allowRestNum":0,"onRestNum":"2",'
        '"waitRestNum":1,"agentsRestDetails":[{"agentName":"Agent 1","workNo":1,"cantRestReason":1,'
        f'"beginTime":{1_759_999_000_123 + SHIFT * 1000},"restDuration":600}},'
        '{"agentName":"Agent 2","workNo":"A2","beginTime":2345,"unknown1":"text"},'
        '{"agentName":"Agent 1","workNo":1,"beginTime":0}]}}'
    )


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("", ""),
        (" \n ", ""),
        ("\ufeff{}", "\ufeff{}"),
        ("<html>canary</html>", "<?>"),
        ("canary", "?"),
        ('"canary"', "?"),
        ("4711", "?"),
        ("[]", "[]"),
        ('{"a" : 1 ,\r\n\t"a": [true,null]}', '{"unknown1": 0 , "unknown1": [true,null]}'),
        # broken in the same way
        ('{"waitRestNum":1', '{"waitRestNum":1'),
        ('{"agentName":"cana', '{"agentName":"?'),
        ('{"agentName":canary,canary}', '{"agentName":?,?}'),
        ('{"agentName":"a\\qb","workNo":1}', '{"agentName":"\\?","workNo":1}'),
        ('{"canary\\q":1}', '{"\\?":0}'),
        ('{"agentName":"\\ud83d"}', '{"agentName":"\\ud800"}'),
        ('{"waitRestNum":NaN,"onRestNum":01}', '{"waitRestNum":?,"onRestNum":00}'),
        ('{"waitRestNum":1.25,"onRestNum":1e3}', '{"waitRestNum":0.5,"onRestNum":0.5}'),
        ('{"waitRestNum":-0}{"a":12x}', '{"waitRestNum":0}{"unknown1":?}'),
        # names and keys in disguise
        ('{"\\u0061gentName":"\\u0043anary"}', '{"agentName":"Agent 1"}'),
        ('{"AGENTNAME":"Canary","agentname":" "}', '{"AGENTNAME":"Agent 1","agentname":""}'),
        ('{"agentName":4711,"canary":47}', '{"agentName":0,"unknown1":0}'),
        # out of range in the same way
        ('{"waitRestNum":-5}', '{"waitRestNum":-1}'),
        ('{"waitRestNum":123456}', '{"waitRestNum":100001}'),
        ('{"waitRestNum":2147483648}', '{"waitRestNum":2147483648}'),
        ('{"waitRestNum":"canary"}', '{"waitRestNum":"text"}'),
        (f'{{"workNo":{2**63}}}', f'{{"workNo":{2**64 + 1}}}'),
        ('{"cantRestReason":4711}', '{"cantRestReason":100}'),
        ('{"cantRestReason":-9}', '{"cantRestReason":-9}'),
        ('{"restDuration":90000}', '{"restDuration":86401}'),
        ('{"restDuration":4294967295}', '{"restDuration":4294967295}'),
        ('{"beginTime":"1759999000"}', f'{{"beginTime":"{1_759_999_000 + SHIFT}"}}'),
        ('{"beginTime":4294967295000}', '{"beginTime":4294967295000}'),
        ('{"beginTime":13812345678}', '{"beginTime":253402300799000}'),
        ('{"beginTime":"2025-10-09 08:53:20"}', '{"beginTime":"2001-01-01 00:00:00"}'),
        # codes
        ('{"resultCode":"0100003","result":1}', '{"resultCode":"0100003","result":1}'),
        ('{"resultCode":"canary"}', '{"resultCode":"0199999"}'),
        ('{"resultCode":100002}', '{"resultCode":100002}'),
        ('{"resultCode":4711}', '{"resultCode":199999}'),
        ('{"result":4711,"resultCode":0}', '{"result":10,"resultCode":0}'),
        ('{"resultDesc":"canary"}', '{"resultDesc":"description removed"}'),
        ('{"resultDatas":""}', '{"resultDatas":""}'),
    ],
)
def test_bodies(text: str, new: str) -> None:
    """Each keeps the shape that a report may be about, and no more."""
    assert clean(text) == new


def test_a_body_that_is_not_utf_8() -> None:
    """It is not afterwards, too; and where it was not, is not told."""
    assert clean(b'{"agentName":"\xc4\xe3"}') == '{"agentName":"Agent 1\udcff"}'
    assert clean(b'{"\xff":1}') == '{"unknown1\udcff":0}'


def test_a_body_is_read_once_and_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strings that do not end are not looked for again and again, and not all of it is kept."""
    for body in (b'{"' + b'\\"' * 2**14, b'{"a":' + b'"' * 2**15):
        assert len(clean(body)) < 2**16
    monkeypatch.setattr("exporter.inspection.sanitized._LONGEST", 100)
    assert clean(b"{" + b"[" * 1000) == "{" + "[" * 99


def test_headers() -> None:
    """Those that decide how a reply is read; of the others that they were there."""
    text = written(
        recorded(
            headers=[
                ("Date", "Thu, 09 Oct 2025 08:53:30 GMT"),
                ("content-type", 'application/json;charset="GBK"; x=canary'),
                ("Retry-After", "30"),
                ("Set-Cookie", "canary"),
                ("X-Canary", "canary"),
                ("X-Canary-2", "canary"),
                ("Server", "canary"),
            ]
        )
    )
    reply = json.loads(text)["exchanges"][0]["reply"]
    assert reply["headers"] == {
        "Date": "Mon, 01 Jan 2001 00:00:10 GMT",
        "Content-Type": "application/json; charset=gbk",
        "Retry-After": "30",
    }
    assert reply["left_out"] == ["server", "set-cookie", "others: 2"]
    assert "anary" not in text


@pytest.mark.parametrize(
    ("name", "value", "new"),
    [
        ("Date", "canary", "no date"),
        ("Date", "Mon, 01 Jan 1900 00:00:00 GMT", "Thu, 25 Mar 1875 15:06:40 GMT"),
        ("Content-Type", "canary/canary", "application/other"),
        ("Content-Type", "text/html; charset=canary", "text/html; charset=other"),
        ("Retry-After", "canary", "other"),
        ("Retry-After", "4711471147", "other"),
        ("Location", "/canary?a=canary", "/other"),
        ("Location", "https://10.22.26.181/canary", "https://cms.example/other"),
        (
            "Location",
            "http://canary@canary.example/x/rest/cmsapp/v1/openapi/agentgroup/agentrestinfos",
            "http://other.example/rest/cmsapp/v1/openapi/agentgroup/agentrestinfos",
        ),
        ("Location", "canary://canary/", "other://other.example/other"),
        ("Location", "http://[canary", "other"),
    ],
)
def test_values_of_headers(name: str, value: str, new: str) -> None:
    """Of a few known ones, or a word for all others."""
    reply = json.loads(written(recorded(headers=[(name, value)])))["exchanges"][0]["reply"]
    assert reply["headers"] == {name: new}


def test_a_request() -> None:
    """How it is signed, without the signature; where it goes, without the host."""
    sent = [
        ("Host", "10.22.26.181:28443"),
        ("Content-Type", "application/json; charset=UTF-8"),
        ("Content-Length", "33"),
        ("X-Tenant", "canary"),
        ("User-Agent", "canary"),
        ("Authorization", "auth-v2/AK/2025-10-09T08:53:20.750Z/host;x-tenant/" + "a" * 64),
    ]
    text = written(recorded(sent=sent))
    assert json.loads(text)["exchanges"][0]["request"] == {
        "api": "agentrestinfos",
        "ccId": 1,
        "vdn": 2,
        "offset": None,
        "limit": None,
        "headers": {
            "host": "cms.example:28443",
            "content-type": "application/json; charset=UTF-8",
            "content-length": "33",
            "authorization": "auth-v2/***/2001-01-01T00:00:00.000Z/host;own-header/***",
        },
        "left_out": ["user-agent", "others: 1"],
    }
    assert "10.22.26" not in text
    assert "canary" not in text


def test_a_request_with_a_token_and_a_bare_host() -> None:
    """The token is gone altogether."""
    server = Server("http://[::1]/a%20b", auth=StaticAuthorization(Secret("Bearer canary")))
    sent = [("Host", "[::1]"), ("Authorization", "Bearer canary")]
    text = written(recorded(sent=sent, target="/a%20b/x/agentrestinfo"), server=server)
    found = json.loads(text)
    assert found["exchanges"][0]["request"]["headers"] == {
        "host": "cms.example",
        "authorization": "***",
    }
    assert found["exchanges"][0]["request"]["api"] == "agentrestinfo"
    assert found["server"] == {
        "tls": False,
        "path": "/prefix%20",
        "host_header": False,
        "begin_time_unit": "auto",
        "auth": "StaticAuthorization",
        "empty_query_line": False,
        "own_headers": 0,
        "proxy_url": False,
    }


def test_an_exchange_without_a_reply() -> None:
    """The failure's reason, and not its sentence: that names the address."""
    text = written(recorded(status=None), error=PollError(Reason.CONNECT, "canary sentence"))
    found = json.loads(text)
    assert (found["exchanges"][0]["reply"], found["outcome"]) == (None, "connect")
    assert "canary" not in text


def test_a_compressed_reply_is_read() -> None:
    """And one that cannot be read is known to be damaged, no more."""
    body = b'{"agentName":"Canary"}'
    for coding, data in (("gzip", gzip.compress(body)), ("Deflate", zlib.compress(body))):
        text = written(recorded(data, [("Content-Encoding", coding)]))
        reply = json.loads(text)["exchanges"][0]["reply"]
        assert reply["body"] == '{"agentName":"Agent 1"}'
        assert (reply["coding"], reply["damaged"]) == (coding.lower(), False)
    for coding, shown in (("gzip", "gzip"), ("canary", "other")):
        text = written(recorded(b"canary", [("Content-Encoding", coding)]))
        reply = json.loads(text)["exchanges"][0]["reply"]
        assert (reply["body"], reply["coding"]) == ("?", shown)


# --- The proof: what is recorded does not depend on what is personal or secret.

DISGUISES: list[Callable[[str], str]] = [
    str,
    str.upper,
    lambda text: quote(text, safe=""),
    lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: base64.urlsafe_b64encode(b"x" + text.encode()).decode(),
    lambda text: text.encode().hex(),
    lambda text: json.dumps(text)[1:-1],
    lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
    lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    lambda text: text[::-1],
]
SECRETS = st.text("abcdefghijkXYZ王李伟/+ é-", min_size=6, max_size=24).filter(
    lambda text: text.strip() == text
)
NUMBERS = st.integers(10**10, 10**11)
FIXED = st.sampled_from(
    [
        *('"agentName":', '"workNo":', '"resultDesc":', '"resultCode":', '"beginTime":'),
        *('"waitRestNum":', '"agentsRestDetails":', '"token":', '"', "\\", "{", "}", "[", "]"),
        *(",", ":", " ", "\n", "<html>", "</title>", "true", "0", "17", "null", "&amp;", "'", "//"),
    ]
)
HOLES = st.sampled_from(range(len(DISGUISES)))
BODIES = st.lists(st.one_of(FIXED, HOLES, st.just("number")), max_size=30)
HEADERS = st.sampled_from(
    ["Date", "Content-Type", "Location", "Set-Cookie", "Retry-After", "Server", "X-Own", "hole"]
)


def filled(template: list[str | int], secret: str, number: int) -> str:
    """A body with the secret in the places of the template."""
    words = {"number": str(number)}
    return "".join(
        words.get(piece, piece) if isinstance(piece, str) else DISGUISES[piece](secret)
        for piece in template
    )


@given(
    begin=st.sampled_from(["", "{", '{"', '[{"', "<", "\ufeff{"]),
    template=BODIES,
    headers=st.lists(st.tuples(HEADERS, HOLES), max_size=4),
    secrets=st.tuples(SECRETS, SECRETS),
    numbers=st.tuples(NUMBERS, NUMBERS),
)
def test_a_recording_has_nothing_of_what_is_secret(
    begin: str,
    template: list[str | int],
    headers: list[tuple[str, int]],
    secrets: tuple[str, str],
    numbers: tuple[int, int],
) -> None:
    """Whatever a server makes of a key, a name or a number, and wherever it repeats it.

    No word of it is in the file: neither as it is, nor in any form.
    """
    secret, number = secrets[0], numbers[0]
    sent = [("Host", "cms"), ("Authorization", secret.encode().hex()), ("X-Own", "hole")]
    received = [
        (
            DISGUISES[disguise](secret).encode().hex() if name == "hole" else name,
            DISGUISES[disguise](secret).encode("ascii", "replace").decode(),
        )
        for name, disguise in headers
    ]
    body = begin + filled(template, secret, number)
    text = written(recorded(body.encode(), received, sent=sent))
    for form in {disguise(secret) for disguise in DISGUISES} | {str(number)}:
        assert form not in text
        assert json.dumps(form)[1:-1] not in text


VOCABULARY = re.compile(
    r'"(?:(?i:allowrestnum|onrestnum|waitrestnum|result|resultcode|resultdesc|resultdatas'
    r"|agentsrestdetails|agentname|workno|cantrestreason|begintime|restduration)"
    r"|unknown\d{1,3}|text|description removed|Agent \d{1,3}|A\d{1,3}|-?\d{1,20}"
    r'|2001-01-01 00:00:00|)?\udcff?"|"\\\?"|"\\ud800"|"\?'
    r"|0\.5|-?\d{1,20}|true|false|null|[{}\[\],:? ]|<\?>|\ufeff"
)


@given(st.one_of(st.text(), st.binary(), BODIES.map(lambda pieces: filled(pieces, "canary", 7))))
def test_a_body_is_made_of_known_words(body: str | bytes) -> None:
    """For any bytes at all: what is written is from a list, and nothing is copied."""
    for start in ("", "{", '{"agentName":'):
        prefix = start.encode()
        data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
        left = VOCABULARY.sub("", clean(prefix + data))
        assert left == ""


LETTERS = st.text("abcdefghijk", min_size=6, max_size=12).filter(lambda text: text != text[::-1])


@given(BODIES, LETTERS, LETTERS)
def test_a_recording_does_not_depend_on_what_is_secret(
    template: list[str | int], one: str, other: str
) -> None:
    """Two replies that differ in a secret alone leave the same file."""
    # by chance, hexadecimal can be a number, and a letter after a backslash an escape
    pieces = [piece for piece in template if piece not in {6, "number", "\\"}]
    for begin in ("", "{", '{"agentName":"'):
        assert clean(begin + filled(pieces, one, 0)) == clean(begin + filled(pieces, other, 0))
