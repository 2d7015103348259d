"""What a server or a proxy says, before anyone sees it: the one place that such text passes.

A server can repeat what it was sent: a key, a header, the password of a proxy. The client knows its
own secrets, so they are masked here, in the forms that servers and gateways give to text; where a
secret is found that cannot be masked, the text is withheld. What cannot be recognized: a secret
that was cut into parts, encrypted, or encoded in a way of the server's own.

Names of agents are never decoded, so a sentence may contain one unnoticed. Those
that the same reply has as `agentName` are masked, and a sentence that contains a part of a
listing is withheld. Pure.
"""

import base64
import binascii
import codecs
import html
import itertools
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from exporter.cms.proxy import ChosenProxy
from exporter.server import Auth, Server, Signature, StaticAuthorization

MASK: Final = "***"
_LONGEST: Final = 200
"""Characters of a sentence that are shown."""
_EXAMINED: Final = 1000
"""Characters of a text that are looked at. A secret that begins in them is masked to its end."""
_SHORTEST_SECRET: Final = 4
"""Characters: masking less would garble every sentence."""
_SHORTEST_PART: Final = 8
_BEGINNING: Final = 12
"""Characters by which a secret is recognized whose end may have been cut off."""
_SIGNATURE: Final = 64
"""Characters of a request's signature."""
_ROUNDS: Final = 2
"""Encodings on top of each other that are seen through."""

_CODE: Final = re.compile(r"(?=[^0-9]*[0-9])[A-Za-z0-9_.-]{1,32}")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,100}|[0-9A-Fa-f:.]{2,45}")
_AUTHORIZATION: Final = re.compile(r"(?i)auth-v2(?:/|%2f|\\/|&#(?:x2f|47);)\S+|[0-9a-f]{64}")
"""A request's signature differs each time: it is known by what it looks like."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{6,}={0,2}")
_JOIN: Final = re.compile(r"[+/_-]")
"""Characters of base64 that also join words: of a path, or of a media type."""
_MOST_JOINS: Final = 10
_HEXADECIMAL: Final = re.compile(r"(?:[0-9A-Fa-f]{2}){4,}")
_ESCAPED: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(.))")
_LISTED: Final = re.compile(r"(?i)agent_?name|agentsrestdetails")
_KEPT_IN_URLS: Final = ";,/?:@&=+$#!'()*"
"""Characters that JavaScript's `encodeURI` leaves as they are."""
_URL_SAFE: Final = str.maketrans("+/", "-_")
_SEPARATORS: Final = re.compile(r"[\s;,=:/&\"']+")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
"""Categories of characters: control, formatting (bidirectional, zero width), private, unpaired."""


class ForeignText:
    """Makes text from elsewhere fit to be shown, without these secrets in any form."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {text for secret in secrets for text in _parts(secret)}
        self._secrets = [_folded(text) for text in known]
        self._forms = {_alike(form) for text in known for form in _forms(text)}
        self._longest_form = max(map(len, self._forms), default=0)

    def sentence(self, text: str, longest: int = _LONGEST, names: Iterable[str] = ()) -> str:
        """A server's own words, for one line: masked, shortened, without invisible characters.

        At most `longest` characters; none if the text cannot be shown. `names` are those of agents
        in the same reply.
        """
        hidden = {_alike(_visible(name)) for name in names} - {""}
        # examined as well, so that what begins before the limit is seen to its end
        beyond = max(self._longest_form, _SIGNATURE, *map(len, hidden))
        examined = text[: _EXAMINED + beyond]
        visible = _visible(examined)
        # of a text that goes on, what begins after this may be cut, and is not shown
        known = len(visible) if len(examined) == len(text) else max(0, len(visible) - beyond)
        signatures = (found.span() for found in _AUTHORIZATION.finditer(visible))
        secrets = _merged([*signatures, *_places(visible, known, self._forms)])
        end = _EXAMINED
        for begin, until in secrets:
            # what is masked does not count
            end += until - begin if begin < end else 0
        end = min(end, known)
        is_cut = end < len(visible)
        clean = _masked(visible[:end], secrets)
        if _LISTED.search(clean) or self._shows_secret(clean, is_cut=is_cut):
            return ""
        if hidden:
            # only now: the mask of a name could have split a secret
            clean = _masked(visible[:end], _merged([*secrets, *_places(visible, end, hidden)]))
        if is_cut and len(clean) <= longest:
            # it would be shown to its end, where a secret may have been cut
            return ""
        return clean if len(clean) <= longest else clean[: longest - 1] + "…"

    def code(self, text: str, names: Iterable[str] = ()) -> str:
        """A result code, or nothing if it does not look like one."""
        return text if _CODE.fullmatch(text) and self.sentence(text, names=names) == text else ""

    def host(self, text: str) -> str:
        """A host of an address, or nothing if it does not look like one."""
        return text if _HOST.fullmatch(text) and self.sentence(text) == text else ""

    def _shows_secret(self, text: str, *, is_cut: bool) -> bool:
        """Whether a secret is still in it, in a form that was not foreseen.

        Of a text that is cut, the beginning of a secret is enough.
        """
        length = _BEGINNING if is_cut else None
        return any(secret[:length] in form for form in _decoded(text) for secret in self._secrets)


def secrets_of(server: Server, auths: Iterable[Auth], proxy: ChosenProxy | None) -> Iterator[str]:
    """Every secret that requests to a server carry.

    `auths` have secrets that are read: those of now, and those that were read before.
    """
    for auth in auths:
        match auth:
            case Signature(access_key, secret_key):
                yield access_key.loaded.reveal()
                yield secret_key.loaded.reveal()
            case StaticAuthorization(value):
                yield value.loaded.reveal()
    for _, header in server.headers:
        yield header.loaded.reveal()
    if proxy is not None and proxy.endpoint.login is not None:
        written = proxy.endpoint.login.reveal()
        for login in (written, unquote(written)):
            yield login
            yield from login.split(":", 1)


def printable(text: str) -> str:
    """A text whose words are known to be harmless, without what controls a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _parts(secret: str) -> Iterator[str]:
    """A secret, and what it consists of: a token after `Bearer`, a password in `Basic`."""
    clean = _visible(secret)
    if len(clean) < _SHORTEST_SECRET:
        return
    yield clean
    for part in {*clean.split(), *_SEPARATORS.split(clean)}:
        if len(part) >= _SHORTEST_PART and part != clean:
            yield part
        inner = _from_base64(part) if clean.lower().startswith("basic ") else None
        if inner:
            yield from (text for text in inner.split(":", 1) if len(text) >= _SHORTEST_SECRET)


def _forms(text: str) -> Iterator[str]:
    """What servers and gateways make of a text when they quote it."""
    data = text.encode()
    yield from (
        text,
        quote(text, safe=""),
        quote(text),
        quote(text, safe=_KEPT_IN_URLS),
        quote_plus(text),
        "".join(f"%{byte:02x}" for byte in data),
    )
    for escaped in (json.dumps(text), json.dumps(text, ensure_ascii=False), repr(text)):
        yield escaped[1:-1]
        yield escaped[1:-1].replace("/", r"\/")
    yield from (html.escape(text), html.escape(text, quote=False))
    yield "".join(f"&#{ord(character)};" for character in text)
    yield "".join(f"&#x{ord(character):x};" for character in text)
    yield "".join(f"\\u{ord(character):04x}" for character in text)
    yield data.hex()
    # inside of a longer text that is encoded: its bytes can lie in three ways
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data).decode()
        certain = encoded[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        if len(certain) >= _SHORTEST_PART:
            yield certain
            yield certain.translate(_URL_SAFE)
    yield base64.b64encode(data).decode()
    yield base64.urlsafe_b64encode(data).decode()


def _places(text: str, end: int, hidden: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Where each of these begins, before that end, and where it ends.

    Found without a regular expression: compiling one of all names of a reply takes long, and the
    module `re` keeps what it has compiled.
    """
    alike = _alike(text)
    for each in hidden:
        last = end + len(each) - 1
        begin = alike.find(each, 0, last)
        while begin >= 0:
            yield begin, begin + len(each)
            begin = alike.find(each, begin + len(each), last)


def _merged(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same places in order, with those that overlap as one."""
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(places):
        if merged and begin < merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((begin, end))
    return merged


def _masked(text: str, places: Iterable[tuple[int, int]]) -> str:
    """The text with a mask for each place that begins in it."""
    pieces: list[str] = []
    shown = 0
    for begin, end in places:
        if begin < len(text):
            pieces += text[shown:begin], MASK
            shown = end
    return "".join([*pieces, text[shown:]])


def _decoded(text: str) -> Iterator[str]:
    """The text, and what it says if it is encoded in one way on top of another."""
    found = {text}
    for _ in range(_ROUNDS):
        found |= {decode(known) for known in found for decode in _DECODERS}
    for form in found:
        yield _folded(form)


def _unescaped(found: re.Match[str]) -> str:
    digits = found[1] or found[2]
    return chr(int(digits, 16)) if digits else found[3]


def _from_base64(text: str) -> str | None:
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    if len(plain) % 4 == 1:
        # it was cut
        plain = plain[:-1]
    with_padding = plain + "=" * (-len(plain) % 4)
    try:
        # half a character at its end is one more sign of that
        return codecs.utf_8_decode(base64.b64decode(with_padding, validate=True))[0]
    except (binascii.Error, UnicodeDecodeError):
        return None


def _from_hexadecimal(text: str) -> str | None:
    try:
        return bytes.fromhex(text).decode()
    except UnicodeDecodeError:
        return None


def _alike(text: str) -> str:
    """For comparison: without case, and each character in its place."""
    folded = text.casefold()
    if len(folded) == len(text):
        return folded
    # of some letters several would become
    return "".join(
        each if len(each := letter.casefold()) == 1 else letter.lower()[0] for letter in text
    )


def _folded(text: str) -> str:
    """For comparison: without spaces, and without case."""
    return "".join(_visible(text).split()).casefold()


def _visible(text: str) -> str:
    """Without characters that control a terminal, reorder text or cannot be seen."""
    if text.isprintable():
        return " ".join(text.split())
    shown = (
        ("" if unicodedata.category(character) == "Cf" else " ")
        if unicodedata.category(character) in _INVISIBLE
        else character
        for character in text
    )
    return " ".join("".join(shown).split())


def _without_base64(run: str) -> str:
    """What a run of base64's characters says, or what follows one of the first that join words."""
    joins = itertools.islice(_JOIN.finditer(run), _MOST_JOINS)
    for start in (0, *(each.end() for each in joins)):
        if said := _from_base64(run[start:]):
            return run[:start] + said
    return "/".join(_from_base64(part) or part for part in _JOIN.split(run))


_DECODERS: Final[tuple[Callable[[str], str], ...]] = (
    unquote_plus,
    html.unescape,
    lambda text: _ESCAPED.sub(_unescaped, text),
    lambda text: _BASE64.sub(lambda run: _without_base64(run[0]), text),
    lambda text: _HEXADECIMAL.sub(lambda run: _from_hexadecimal(run[0]) or run[0], text),
    lambda text: unicodedata.normalize("NFKC", text),
)
