"""A CMS that does harm: raw bytes on sockets, one attack for each path of its address.

Run as a process of its own, so that what it costs is not counted: it prints its port, and ends with
its standard input. Threads and blocking sockets, because it has to be faster than its victim.
"""

import contextlib
import itertools
import re
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Final

from tests.support.paths import ROOT

_OFFSET: Final = re.compile(rb'"offset":([0-9]+)')
_LENGTH: Final = re.compile(rb"(?i)content-length: *([0-9]+)")
_HEAD: Final = (
    b'{"result":"0","resultCode":"0100000","resultDesc":{"allowRestNum":0,"onRestNum":0,'
    b'"waitRestNum":0,"agentsRestDetails":['
)
_TAIL: Final = b"]}}"
_CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_SAME_HASH: Final = 2**61 - 1
"""Integers that differ by it have the same hash in Python."""


def listing(rows: bytes) -> bytes:
    """The body of a reply with these rows."""
    return _HEAD + rows + _TAIL


def agents(count: int) -> bytes:
    """So many rows as CC-CMS sends them."""
    return b",".join(
        b'{"workNo":%d,"agentName":"Agent number %d","cantRestReason":%d,"beginTime":%d,'
        b'"restDuration":600}' % (number, number, number % 5, 1_750_000_000_000 + number)
        for number in range(1, count + 1)
    )


def reply(body: bytes, headers: bytes = b"") -> bytes:
    """One reply with its length."""
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (headers, len(body), body)


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(body) + packer.flush()


def _endless(piece: bytes, size: int = 2**17) -> Iterator[bytes]:
    return itertools.repeat(piece * (size // len(piece) + 1))


def _healthy() -> Callable[[bytes], Iterator[bytes]]:
    body = reply(listing(agents(20)))
    return lambda _: iter((body,))


def _large() -> Callable[[bytes], Iterator[bytes]]:
    body = reply(listing(agents(5_000)))
    return lambda _: iter((body,))


def _compressed_rows() -> Callable[[bytes], Iterator[bytes]]:
    packed = _gzip(listing(b",".join([b"{}"] * 5_590_000)))
    whole = reply(packed, b"Content-Encoding: gzip\r\n")
    return lambda _: iter((whole,))


def _rows() -> Callable[[bytes], Iterator[bytes]]:
    body = reply(listing(b",".join([b"{}"] * 2_700_000)))
    return lambda _: iter((body,))


def _full_size() -> Callable[[bytes], Iterator[bytes]]:
    body = reply(listing(agents(90_000))[:-3][: 8 * 2**20 - 400].rpartition(b",{")[0] + _TAIL)
    return lambda _: iter((body,))


def _compressed_zeros() -> Callable[[bytes], Iterator[bytes]]:
    packed = _gzip(b" " * (16 * 2**20 - 300) + listing(b""))
    whole = reply(packed, b"Content-Encoding: gzip\r\n")
    return lambda _: iter((whole,))


def _interim() -> Callable[[bytes], Iterator[bytes]]:
    return lambda _: _endless(b"HTTP/1.1 102 Processing\r\n\r\n")


def _extension() -> Callable[[bytes], Iterator[bytes]]:
    return lambda _: itertools.chain((_CHUNKED, b"1;"), _endless(b"a"))


def _extensions() -> Callable[[bytes], Iterator[bytes]]:
    return lambda _: itertools.chain((_CHUNKED,), _endless(b"1;" + b"a" * 50 + b"\r\n \r\n"))


def _one_byte_chunks() -> Callable[[bytes], Iterator[bytes]]:
    return lambda _: itertools.chain((_CHUNKED,), _endless(b"1\r\n \r\n"))


def _trailers() -> Callable[[bytes], Iterator[bytes]]:
    return lambda _: itertools.chain((_CHUNKED, b"0\r\nx: "), _endless(b"a"))


def _headers() -> Callable[[bytes], Iterator[bytes]]:
    return lambda _: itertools.chain(
        (b"HTTP/1.1 200 OK\r\n",), _endless(b"x-a: %b\r\n" % (b"a" * 8000))
    )


def _bytes_one_by_one() -> Callable[[bytes], Iterator[bytes]]:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n"
    return lambda _: itertools.chain((head,), itertools.repeat(b" "))


def _wide_text() -> Callable[[bytes], Iterator[bytes]]:
    text = "\N{GRINNING FACE}".encode() + b"a" * (8 * 2**20 - 500)
    body = reply(listing(b'{"workNo":"%b"}' % text))
    return lambda _: iter((body,))


def _same_hashes() -> Callable[[bytes], Iterator[bytes]]:
    rows = (b'{"workNo":%d}' % (number * _SAME_HASH) for number in range(1, 20_001))
    body = reply(listing(b",".join(rows)))
    return lambda _: iter((body,))


def _nested() -> Callable[[bytes], Iterator[bytes]]:
    body = reply(b"[" * (8 * 2**20 - 10))
    return lambda _: iter((body,))


def _huge_pages() -> Callable[[bytes], Iterator[bytes]]:
    rest = b",{}" * 699_999

    def page(question: bytes) -> Iterator[bytes]:
        found = _OFFSET.search(question)
        yield reply(listing(b'{"workNo":%d}' % (int(found[1]) + 1 if found else 1) + rest))

    return page


def _pages_of_same_hashes() -> Callable[[bytes], Iterator[bytes]]:
    def page(question: bytes) -> Iterator[bytes]:
        found = _OFFSET.search(question)
        first = int(found[1]) if found else 0
        numbers = range(first + 1, first + 101)
        yield reply(listing(b",".join(b'{"workNo":%d}' % (n * _SAME_HASH) for n in numbers)))

    return page


def _padded_pages() -> Callable[[bytes], Iterator[bytes]]:
    padding = b" " * (4 * 2**20)

    def page(question: bytes) -> Iterator[bytes]:
        found = _OFFSET.search(question)
        first = int(found[1]) if found else 0
        rows = b",".join(b'{"workNo":%d}' % (first + number) for number in range(1, 101))
        yield reply(listing(rows + padding))

    return page


ATTACKS: Final = MappingProxyType({
    "healthy": _healthy,
    "large": _large,
    "compressed_rows": _compressed_rows,
    "compressed_zeros": _compressed_zeros,
    "rows": _rows,
    "full_size": _full_size,
    "interim": _interim,
    "extension": _extension,
    "extensions": _extensions,
    "one_byte_chunks": _one_byte_chunks,
    "trailers": _trailers,
    "headers": _headers,
    "bytes_one_by_one": _bytes_one_by_one,
    "wide_text": _wide_text,
    "same_hashes": _same_hashes,
    "nested": _nested,
    "huge_pages": _huge_pages,
    "pages_of_same_hashes": _pages_of_same_hashes,
    "padded_pages": _padded_pages,
})  # fmt: skip
"""Each by its name: makes what answers one request, in pieces."""

PAGED: Final = frozenset({"huge_pages", "padded_pages", "pages_of_same_hashes"})
"""Those on a server of CTI 3.6."""


def _serve(connection: socket.socket, answer: Callable[[bytes], Iterator[bytes]]) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    received = b""
    with connection, contextlib.suppress(OSError):
        while True:
            while b"\r\n\r\n" not in received:
                if not (data := connection.recv(65536)):
                    return
                received += data
            head, _, rest = received.partition(b"\r\n\r\n")
            found = _LENGTH.search(head)
            length = int(found[1]) if found else 0
            while len(rest) < length:
                if not (data := connection.recv(65536)):
                    return
                rest += data
            for piece in answer(rest[:length]):
                connection.sendall(piece)
            received = rest[length:]


def _listen(answer: Callable[[bytes], Iterator[bytes]]) -> int:
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection, answer), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(listener.getsockname()[1])


@contextlib.contextmanager
def serving_attacks(*names: str) -> Iterator[list[int]]:
    """The ports of such a process, one for each attack."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.hostile_server", *names],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        yield [int(port) for port in server.stdout.readline().split()]
        server.kill()


def main() -> None:
    """Print one port for each attack that is named on the command line; end with the input."""
    sys.stdout.write(" ".join(str(_listen(ATTACKS[name]())) for name in sys.argv[1:]) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
