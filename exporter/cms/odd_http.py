"""Heads of replies that a strict parser refuses and every client reads: rewritten for it.

Old gateways send `Content-Length` twice, or beside chunks, names with blanks in them, `HTTP/2` over
plain text. A connection reads such heads only when its server has sent one that was refused: a
stray length is how replies are smuggled past a gateway. What is not clear stays refused: two
lengths that differ are two replies, or half of one.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from exporter.cms.connections import Connection
from exporter.cms.reply_meter import MAX_HEAD

_END: Final = re.compile(rb"\r?\n\r?\n")
_FOLD: Final = re.compile(rb"\r?\n[ \t]+")
_STATUS: Final = re.compile(
    rb"(?i)\s*HTTP/(?P<version>[0-9](?:\.[0-9])?)[ \t]+(?P<status>[0-9]{3})(?P<phrase>[ \t].*)?"
)
_INTERIM: Final = re.compile(rb"(?i)\s*HTTP/[0-9.]+[ \t]+1(?!01)")
_NAME: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH: Final = re.compile(rb"\+?(?P<digits>[0-9]{1,19})")

_RULES: Final = (
    ("Content-Length", "its Content-Length is not one number"),
    ("Transfer-Encoding", "its Transfer-Encoding is wrong"),
    ("chunk", "a chunk of its body is malformed"),
    ("status line", "its status line is malformed"),
    ("header", "one of its headers is malformed"),
)
"""What the parser's words mean, by what is in them."""


def begins(first_bytes: bytes) -> bool:
    """Whether so a reply begins, if not an entirely valid one."""
    return first_bytes.upper() == b"HTTP/"


def broken_rule(words: str) -> str:
    """Which rule of HTTP a reply has broken, by the parser's words; empty if they do not tell."""
    # the lines below the first one quote the reply
    first = words.replace("Bad status line:\n", "Bad status line: ").strip().partition("\n")[0]
    return next((rule for word, rule in _RULES if word.lower() in first.lower()), "")


def plain(head: bytes) -> bytes:
    """The same head as a strict parser takes it, or as it is if that is not possible.

    Args:
        head: of one reply, with the empty line at its end.
    """
    line, *fields = _FOLD.sub(b" ", head.strip(b"\r\n")).split(b"\n")
    status = _STATUS.fullmatch(line.strip(b"\r"))
    if status is None:
        return head
    lengths: list[bytes] = []
    codings: list[bytes] = []
    lines: list[bytes] = []
    for name, value in _fields(fields):
        match name.lower():
            case b"content-length":
                lengths += [part.strip() for part in value.split(b",")]
            case b"transfer-encoding":
                codings += [part.strip() for part in value.lower().split(b",")]
            case _:
                lines.append(b"%b: %b" % (name, value))
    version = b"1.0" if status["version"] == b"1.0" else b"1.1"
    first = b"HTTP/%b %b%b" % (version, status["status"], status["phrase"] or b" ")
    return b"\r\n".join([first, *lines, *_framing(lengths, codings), b"", b""])


def _fields(lines: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The fields that have a valid name: nothing depends on any other."""
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon and _NAME.fullmatch(name := name.strip()):
            yield name, _CONTROLS.sub(b" ", value).strip()


def _framing(lengths: list[bytes], codings: list[bytes]) -> Iterator[bytes]:
    """The fields that say where the body ends. Chunks go before a length (RFC 9112, 6.3)."""
    if b"chunked" in codings:
        yield b"Transfer-Encoding: chunked"
        if lengths:
            yield b"Connection: close"
        return
    found = [_LENGTH.fullmatch(length) for length in lengths]
    different = {length and length["digits"].lstrip(b"0") for length in found}
    if len(different) == 1 and (digits := different.pop()) is not None:
        lengths = [digits or b"0"]
    for length in lengths:
        yield b"Content-Length: %b" % length


class OddConnection(Connection):
    """A connection to a server that has sent a head which the parser refuses."""

    _head: bytes | None = None
    """What has come of a head; None while no head is expected."""

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401  # aiohttp's own
        """A request is about to be sent."""
        self._head = b""
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Bytes have come: heads go on rewritten, everything else as it is."""
        if self._head is None or not self._under_way or not data:
            super().data_received(data)
            return
        # the empty line may have begun in what came before
        searched = max(0, len(self._head) - 3)
        received, begin = self._head + data, 0
        while end := _END.search(received, searched):
            head = received[begin : end.end()]
            begin = searched = end.end()
            if not _INTERIM.match(head):
                self._head = None
                super().data_received(plain(head) + received[begin:])
                return
            # another head follows
            super().data_received(plain(head))
        self._head = received[begin:]
        if len(self._head) > MAX_HEAD:
            head, self._head = self._head, None
            super().data_received(head)
