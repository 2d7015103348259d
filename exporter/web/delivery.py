"""Sends bodies that are made in slices, without blocking the event loop that polls run in."""

import asyncio
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from aiohttp import hdrs, web

from exporter.web.negotiation import accepts_gzip

_LEVEL: Final = 1
"""zlib's fastest level: the default takes many times as long to save a few percent more."""
_GZIP: Final = zlib.MAX_WBITS | 16
_SLICES_A_WRITE: Final = 4
"""A packet for each slice would be wasteful; everything at once would be copied once more."""
_SEND_TIMEOUT: Final = 60.0


class Delivery:
    """Makes one body at a time, and lets everything else run between its slices.

    With forty bodies in progress, a poll would start forty slices late. A client that does not
    read its reply within `send_timeout` seconds is disconnected.
    """

    def __init__(self, send_timeout: float = _SEND_TIMEOUT) -> None:
        self._making = asyncio.Lock()
        self._send_timeout = send_timeout

    async def send(
        self,
        request: web.Request,
        make: Callable[[], Iterable[bytes]],
        headers: Mapping[str, str],
    ) -> web.StreamResponse:
        """Reply with the slices joined, and compressed if the request allows it.

        The body is complete before its first byte is sent: its length is known, and a failure to
        make it is a 500 instead of half a body. `make` is called when it is this body's turn, so
        that it is up to date.
        """
        response = web.StreamResponse(headers=headers)
        vary = [*response.headers.getall(hdrs.VARY, ()), hdrs.ACCEPT_ENCODING]
        response.headers[hdrs.VARY] = ", ".join(vary)
        gzip = accepts_gzip(",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, ())))
        if gzip:
            response.headers[hdrs.CONTENT_ENCODING] = "gzip"
        body = []
        async with self._making:
            if request.transport is None:  # the client left while its body waited
                return response
            for piece in _gzipped(make()) if gzip else make():
                body.append(piece)
                await asyncio.sleep(0)
        response.content_length = sum(map(len, body))
        try:
            async with asyncio.timeout(self._send_timeout):
                await response.prepare(request)
                if request.method != hdrs.METH_HEAD:
                    for start in range(0, len(body), _SLICES_A_WRITE):
                        await response.write(b"".join(body[start : start + _SLICES_A_WRITE]))
                await response.write_eof()
        except OSError:  # and so TimeoutError: the client has left, or does not read
            if request.transport is not None:
                request.transport.abort()
        return response


def _gzipped(slices: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    for piece in slices:
        yield compressor.compress(piece)
    yield compressor.flush()
