"""Replies that a strict parser refuses and every client reads: rewritten for it.

Old gateways send `Content-Length` twice, or beside chunks, names with blanks in them, `HTTP/2` over
plain text, chunks with blanks after their size. A connection reads such replies only when its
server has sent one that was refused: a stray length is how replies are smuggled past a gateway.
What is not clear stays refused: two lengths that differ are two replies, or half of one.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from exporter.cms.connections import Connection
from exporter.cms.reply_head import MAX_HEAD

_END: Final = re.compile(rb"\r?\n\r?\n")
_FOLD: Final = re.compile(rb"\r?\n[ \t]+")
_STATUS: Final = re.compile(
    rb"(?i)\s*HTTP/(?P<version>[0-9](?:\.[0-9])?)[ \t]+(?P<status>[0-9]{3})(?P<phrase>[ \t].*)?"
)
_NAME: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_INTERIM: Final = re.compile(rb"(?i)\s*HTTP/[0-9.]+[ \t]+1(?!01)")
_CHUNKED: Final = b"Transfer-Encoding: chunked"
_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,16}")
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH: Final = re.compile(rb"\+?(?P<digits>[0-9]{1,19})")

_RULES: Final = (
    ("Content-Length", "its Content-Length is not one number"),
    ("Transfer-Encoding", "its Transfer-Encoding is wrong"),
    ("chunk", "a chunk of its body is malformed"),
    ("status line", "its status line is malformed"),
    ("header", "one of its headers is malformed"),
)
"""Which rule is broken, by a word in the parser's message."""


def begins(first_bytes: bytes) -> bool:
    """Whether these bytes begin an HTTP reply, even an invalid one."""
    return first_bytes.upper() == b"HTTP/"


def broken_rule(words: str) -> str:
    """Which rule of HTTP a reply has broken, by the parser's words; empty if they do not tell."""
    # the lines below the first one quote the reply
    first = words.replace("Bad status line:\n", "Bad status line: ").strip().partition("\n")[0]
    return next((rule for word, rule in _RULES if word.lower() in first.lower()), "")


def plain(head: bytes) -> bytes:
    """The head as a strict parser accepts it, or unchanged if it is not clear what it means.

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
    """The fields that have a valid name. Others cannot be ones that matter here."""
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon and _NAME.fullmatch(name := name.strip()):
            yield name, _CONTROLS.sub(b" ", value).strip()


def _framing(lengths: list[bytes], codings: list[bytes]) -> Iterator[bytes]:
    """The fields that say where the body ends. Chunks go before a length (RFC 9112, 6.3)."""
    if b"chunked" in codings:
        yield _CHUNKED
        if lengths:
            yield b"Connection: close"
        return
    found = [_LENGTH.fullmatch(length) for length in lengths]
    different = {length and length["digits"].lstrip(b"0") for length in found}
    if len(different) == 1 and (digits := different.pop()) is not None:
        lengths = [digits or b"0"]
    for length in lengths:
        yield b"Content-Length: %b" % length


class Chunks:
    """The chunks of one body, rewritten as they come: bare sizes, and lines that end in CR LF."""

    def __init__(self) -> None:
        self.ended = False
        """Whether the last one has come. What follows is no part of the body."""
        self._line = bytearray()
        """What has come of a line."""
        self._left = 0
        """Bytes of the present chunk."""
        self._in_trailer = False
        self._after_chunk = False

    def feed(self, data: bytes) -> bytes:
        """The rewritten bytes; unchanged from the first invalid size on."""
        out = bytearray()
        at = 0
        while at < len(data) and not self.ended:
            begin = at
            if self._left:
                at = min(begin + self._left, len(data))
                out += data[begin:at]
                self._left -= at - begin
                if not self._left:
                    out += b"\r\n"
                    self._after_chunk = True
                continue
            # as far as the line feed, or all there is
            at = data.find(b"\n", begin) + 1 or len(data)
            self._line += data[begin:at]
            if self._line.endswith(b"\n"):
                line = bytes(self._line.strip())
                self._line.clear()
                out += self._rewritten(line)
            elif len(self._line) > MAX_HEAD:
                self.ended = True
                out += self._line
        return bytes(out + data[at:])

    def _rewritten(self, line: bytes) -> bytes:
        if self._in_trailer:
            # no field of it matters
            self.ended = not line
            return b"" if line else b"\r\n"
        if self._after_chunk and not line:
            self._after_chunk = False
            return b""
        size = line.partition(b";")[0].strip()
        if not _SIZE.fullmatch(size):
            self.ended = True
            return line + b"\r\n"
        self._left = int(size, 16)
        self._in_trailer = not self._left
        return size + b"\r\n"


class OddConnection(Connection):
    """A connection to a server that has sent a reply which the parser refuses."""

    _head: bytearray | None = None
    """What has come of a head; None while no head is expected."""
    _chunks: Chunks | None = None
    """Of the present body, if it comes in chunks."""

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401  # aiohttp's own
        """A request is about to be sent."""
        self._head, self._chunks = bytearray(), None
        super().set_response_params(**params)

    def take(self, data: bytes) -> None:
        """Heads and chunks go on rewritten, everything else as it is."""
        if not data or not self._under_way:
            super().take(data)
            return
        received = self._received + len(data)
        if self._head is not None:
            data = self._heads(self._head, data)
        elif self._chunks and not self._chunks.ended:
            data = self._chunks.feed(data)
        if data:
            super().take(data)
        # what was left out counts as well
        self._received = received
        self._refuse_excess()

    def _heads(self, received: bytearray, data: bytes) -> bytes:
        """What can go on of heads, and of a body after them. `received` keeps the rest."""
        out = bytearray()
        begin = 0
        # the empty line may have begun in what came before
        searched = max(0, len(received) - 3)
        received += data
        while end := _END.search(received, searched):
            head = plain(bytes(received[begin : end.end()]))
            out += head
            begin = searched = end.end()
            # after an interim reply another head follows
            if not _INTERIM.match(head):
                self._head, body = None, bytes(received[begin:])
                if _CHUNKED in head:
                    self._chunks = Chunks()
                    body = self._chunks.feed(body)
                return bytes(out + body)
        del received[:begin]
        if len(received) > MAX_HEAD:
            self._head = None
            out += received
        return bytes(out)
