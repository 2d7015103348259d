"""What a server says before anyone sees it: no secret in any known form, nothing invisible."""

import base64
import functools
import html
import json
import random
import re
import string
import tracemalloc
import unicodedata
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cms.foreign_text import ForeignText, secrets_of
from exporter.cms.proxy import chosen_proxy
from exporter.secret import Secret
from exporter.server import Server, Signature, StaticAuthorization

KEY = "canary/key+with=signs&more"
TOKEN = "Bearer canary-token-0123456789"


def foreign(*secrets: str) -> ForeignText:
    """For a server that was sent these secrets."""
    return ForeignText(secrets)


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper case": str.upper,
    "swapped case": str.swapcase,
    "percent-encoded": lambda text: quote(text, safe=""),
    "percent-encoded but slashes": quote,
    "percent-encoded as a URL": lambda text: quote(text, safe=";,/?:@&=+$#!'()*"),
    "percent-encoded in lower case": lambda text: quote(text, safe="").lower(),
    "percent-encoded as a form": quote_plus,
    "percent-encoded whole": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "percent-encoded twice": lambda text: quote(quote(text, safe=""), safe=""),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 of a header": lambda text: base64.b64encode(f"authorization: {text}".encode()).decode(),
    "base64 of a longer header": lambda text: base64.b64encode(f"xauth: {text};".encode()).decode(),
    "base64 of an object": lambda text: base64.b64encode(f'{{"a":"{text}"}}'.encode()).decode(),
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "JSON": json.dumps,
    "JSON with escaped slashes": lambda text: json.dumps(text).replace("/", r"\/"),
    "JSON, escaped whole": lambda text: "".join(f"\\u{ord(letter):04X}" for letter in text),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "HTML": html.escape,
    "HTML, escaped whole": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "HTML, escaped in hexadecimal": lambda text: "".join(f"&#x{ord(c):X};" for c in text),
    "Python": repr,
    "with zero-width characters": "\u200b".join,
    "with soft hyphens": "\u00ad".join,
    "in full width": lambda text: "".join(
        chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text
    ),
    "with spaces": " ".join,
    "on several lines": "\r\n".join,
}


def shows(shown: str, *secrets: str) -> bool:
    """Whether a part of a secret that is worth something is in a text, in any of the forms."""
    text = shown.casefold().replace(" ", "")
    parts = {part for secret in secrets for part in (secret, secret[:12], secret[-12:])}
    return any(form(part).casefold() in text for part in parts for form in FORMS.values())


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
@pytest.mark.parametrize("secret", [KEY, TOKEN, "密钥-canary-secret"])
@pytest.mark.parametrize("around", ["{}", "no rights for {}, go away", "key={};", "<b>{}</b>"])
def test_no_form_of_a_secret_is_shown(secret: str, form: Callable[[str], str], around: str) -> None:
    """What servers and gateways make of the text that they repeat."""
    said = around.format(form(secret))

    assert not shows(foreign(secret).sentence(said), secret)
    assert foreign(secret).code(said) == ""
    assert foreign(secret).host(said) == ""


def test_the_rest_of_a_sentence_is_shown() -> None:
    """The operator needs it."""
    said = "access key AKEXAMPLE0001 has no rights for VDN 1 (akexample0001)"

    assert foreign("AKEXAMPLE0001").sentence(said) == (
        "access key *** has no rights for VDN 1 (***)"
    )


def test_a_part_of_a_secret_is_one_as_well() -> None:
    """Without its scheme, a token is as good; so is what `Basic` wraps."""
    basic = "Basic " + base64.b64encode(b"monitor:canary-pass").decode()

    assert foreign(TOKEN).sentence("token canary-token-0123456789 expired") == "token *** expired"
    assert foreign(basic).sentence("monitor has password canary-pass") == "*** has password ***"


def test_a_signature_is_known_by_what_it_looks_like() -> None:
    """It differs with each request."""
    header = f"auth-v2/AKEXAMPLE0001/2025-01-01T00:00:00.000Z/host/{'0af3' * 16}"

    assert foreign().sentence(f"wrong signature {header}") == "wrong signature ***"
    assert foreign().sentence(f"expected {'0AF3' * 16} instead") == "expected *** instead"


def test_a_secret_at_the_end_of_what_is_examined_is_not_shown_in_part() -> None:
    """Masked text is shorter than it was, so the cut could come into view."""
    secret = "canary-secret-key-0123456789"

    assert foreign(secret).sentence(" ".join([secret] * 200)) == ""


def token(length: int) -> str:
    """Of the letters that tokens have; no part of it comes twice."""
    letters = random.Random(length)  # noqa: S311  # the same one each time
    return "Bearer " + "".join(letters.choices(string.ascii_letters + "0123456789-._~+/", k=length))


def readings(text: str) -> Iterator[str]:
    """What anyone can make of a text: without spaces and hidden characters, and decoded."""
    text = re.sub("[ \u200b\u00ad]", "", text)
    yield unicodedata.normalize("NFKC", text)
    yield unquote_plus(text)
    yield html.unescape(text)
    yield re.sub(r"\\(?:u([0-9A-Fa-f]{4})|(.))", lambda each: chr(int(each[1] or "0", 16)), text)
    for run in re.findall(r"[A-Za-z0-9+/_-]{12,}", text):
        standard = run.replace("-", "+").replace("_", "/")
        for start in range(4):
            part = standard[start : start + (len(run) - start) // 4 * 4]
            yield base64.b64decode(part).decode("latin-1")
        if re.fullmatch(r"[0-9A-Fa-f]+", run):
            yield bytes.fromhex(run[: len(run) // 2 * 2]).decode("latin-1")


@functools.lru_cache(maxsize=4096)
def shows_a_run(shown: str, secret: str, length: int = 12) -> bool:
    """Whether so many characters of a secret are seen in a row, however often it is decoded."""
    hidden = runs("".join(secret.split()), length)
    seen = {shown} | set(readings(shown))
    seen |= {again for text in seen for again in readings(text)}
    return any(not hidden.isdisjoint(runs(text, length)) for text in seen)


@functools.lru_cache
def runs(text: str, length: int) -> frozenset[str]:
    """Every part of a text that has so many characters."""
    folded = text.casefold()
    return frozenset(folded[start : start + length] for start in range(len(folded) - length + 1))


@pytest.mark.parametrize("length", [200, 1200, 3000])
@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
@pytest.mark.parametrize("after", ["", " expired" * 1000], ids=["at the end", "in between"])
def test_no_part_of_a_long_secret_is_shown(
    form: Callable[[str], str], length: int, after: str
) -> None:
    """Wherever the limits cut it: that of what is shown, and that of what is looked at."""
    secret = token(length)
    known, written = foreign(secret), form(secret)
    for longest in (200, 600):
        for begin in (0, 30, 150, 190, 199, 201, 590, 800, 950, 989, 999, 1000, 1001):
            said = ("invalid token: " * 100)[:begin] + " " + written + after
            assert not shows_a_run(known.sentence(said, longest), secret)


@given(
    begin=st.integers(0, 1200),
    end=st.integers(0, 4000),
    forms=st.lists(st.sampled_from(list(FORMS.values())), min_size=1, max_size=2),
    names=st.lists(st.text(string.ascii_lowercase, max_size=3), max_size=3),
)
def test_no_part_of_a_secret_is_shown_at_any_place(
    begin: int, end: int, forms: list[Callable[[str], str]], names: list[str]
) -> None:
    """Even with another form after it, and with names that are a part of it."""
    secret = token(300)
    said = (
        ("no rights, " * 200)[:begin] + " " + " ".join(form(secret) for form in forms) + "!" * end
    )

    assert not shows_a_run(foreign(secret).sentence(said, names=names), secret)


@pytest.mark.parametrize("secret", [token(1200), token(3000)], ids=["1200", "3000"])
def test_the_rest_around_a_long_secret_is_shown(secret: str) -> None:
    """It is masked to its end, however far that is from the limit."""
    known = foreign(secret)

    assert known.sentence(f"invalid token: {secret}") == "invalid token: ***"
    assert known.sentence(f"invalid {quote(secret)} (401)") == "invalid *** (401)"
    assert known.sentence("x" * 998 + secret, 1100) == "x" * 998 + "***"
    assert (
        known.sentence("x" * 990 + secret * 2 + "x" * 10, 1100) == "x" * 990 + "******" + "x" * 10
    )
    assert known.sentence("x" * 990 + secret * 2 + "x" * 11, 1100) == ""


def test_names_take_nothing_from_a_secret() -> None:
    """A mask in the middle of it would leave the rest unrecognized."""
    assert foreign("canary-secret-1").sentence("bad canary-secret-1!", names=["secret"]) == (
        "bad ***!"
    )
    assert foreign().sentence("ask Zhang San Li", names=["Zhang San", "San Li"]) == "ask ***"


def test_a_name_at_the_limit_is_not_shown_in_part() -> None:
    """It is looked for to its end."""
    said = "Zhang San " * 100

    assert foreign().sentence(said, 600, names=["Zhang San"]) == ("*** " * 100).strip()
    assert foreign().sentence(said * 2, 300, names=["Zhang San"]) == ("*** " * 75)[:299] + "…"


@pytest.mark.parametrize("name", ["Straße", "İnci", "ΌΣΟΣ", "K2", "Ǆ"])
def test_letters_that_become_several_keep_their_place(name: str) -> None:
    """In lower and in upper case: what is masked is the name, and nothing beside it."""
    for said in (name, name.lower() if len(name.lower()) == len(name) else name):
        assert foreign().sentence(f"ß: {said} ŉ İ", names=[name]) == "ß: *** ŉ İ"


def test_names_of_many_replies_leave_nothing_behind() -> None:
    """Nothing that was made for those of one reply is kept after it."""
    known = foreign(KEY)

    def failed_replies(first: int) -> None:
        for reply in range(first, first + 100):
            names = [f"{reply}-{number}-".ljust(20, "x") for number in range(200)]
            assert known.sentence(f"ask {names[7]}", names=names) == "ask ***"

    failed_replies(0)
    tracemalloc.start()
    try:
        failed_replies(100)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000


def test_short_values_are_not_masked() -> None:
    """A tenant number of one digit is in every sentence."""
    assert foreign("1", "", "  ").sentence("VDN 1 of 1") == "VDN 1 of 1"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("vdn  does not\nexist\x1b[0m", "vdn does not exist [0m"),
        ("a\u202eb\u2066c\u200fd\u200be\ufefff", "abcdef"),
        ("a\x9b31mb\x00c\u2028d\ue000e\ud800f", "a 31mb c d e f"),
        ("座席不存在", "座席不存在"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 199 + "…"),
        ("", ""),
    ],
)
def test_one_line_without_what_cannot_be_seen(said: str, shown: str) -> None:
    """Nothing that moves a cursor, turns text around or hides it."""
    assert foreign("canary").sentence(said) == shown


def test_names_of_the_same_reply_are_masked() -> None:
    """In any case of letters. A name of another reply cannot be known: see the module."""
    said = "agent zhang san is busy, ask Li Si"

    shown = foreign().sentence(said, names=["Zhang San", "Li Si", ""])

    assert shown == "agent *** is busy, ask ***"
    assert foreign().code("Zhang5", names=["zhang5"]) == ""


@pytest.mark.parametrize(
    "said",
    [
        '{"agentName": "Zhang San"}',
        "bad row: agentname=Zhang San",
        "agent_name Zhang San",
        "agentsRestDetails: [Zhang San]",
    ],
)
def test_a_part_of_a_listing_is_withheld(said: str) -> None:
    """It has names."""
    assert foreign().sentence(said) == ""


@pytest.mark.parametrize("code", ["0100002", "-1", "ERR_42", "cms.7"])
def test_a_code_is_shown(code: str) -> None:
    """The vendor's, and those of gateways."""
    assert foreign(KEY).code(code) == code


@pytest.mark.parametrize("code", ["", "Zhang", "1 2", "1\n", "x1" * 17, "1<b>", "座1", "4" * 64])
def test_what_looks_like_no_code_is_not_shown(code: str) -> None:
    """Too long, a word, or more than one."""
    assert foreign().code(code) == ""


@pytest.mark.parametrize("host", ["cms.example", "10.0.0.1", "::1"])
def test_a_host_is_shown(host: str) -> None:
    """Of a redirect."""
    assert foreign(KEY).host(host) == host
    assert foreign(host * 3).host(host * 3) == ""


@given(said=st.text(max_size=1500), secret=st.text(min_size=8, max_size=30))
def test_any_text_is_one_short_line(said: str, secret: str) -> None:
    """And never an error."""
    shown = foreign(secret).sentence(said + secret)

    assert len(shown) <= 200
    assert not any(unicodedata.category(letter) in {"Cc", "Cf", "Cs"} for letter in shown)
    assert secret not in shown or not secret.strip()


def test_every_secret_of_a_server_is_known() -> None:
    """Keys, the header, further headers, a proxy's login as written and as sent."""
    server = Server(
        "http://cms.example", headers=(("x-tenant", Secret("tenant")), ("x-b", Secret("b-value")))
    )
    auths = (
        Signature(Secret("access"), Secret("secret")),
        StaticAuthorization(Secret("static")),
        None,
    )
    proxy = chosen_proxy(
        Server("http://cms.example", proxy_url=Secret("http://us%40er:pass%2Fword@proxy:3128")), {}
    )

    assert set(secrets_of(server, auths, proxy)) == {
        "access",
        "secret",
        "static",
        "tenant",
        "b-value",
        "us%40er:pass%2Fword",
        "us%40er",
        "pass%2Fword",
        "us@er:pass/word",
        "us@er",
        "pass/word",
    }
    assert set(secrets_of(Server("http://cms.example"), (None,), None)) == set()


@pytest.mark.parametrize("around", ["text/html+{}", "http://cms.example/login/{}", "/a_b/{}/c-d"])
def test_an_encoding_in_another_one_beside_words(around: str) -> None:
    """Some of base64's own characters join a path's and a media type's words."""
    twice = base64.b64encode(b"canary/tenant=42").hex()
    assert ForeignText(["canary/tenant=42"]).sentence(around.format(twice)) == ""
