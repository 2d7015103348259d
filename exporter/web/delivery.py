"""Sends bodies as fast as they are read, to a bounded number of readers at once.

A reader who takes nothing is not waited for: its connection is closed when its place, or the memory
of its body, is needed, and after a minute in any case.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Hashable, Mapping
from typing import Final

from aiohttp import hdrs, web

from exporter.turns import Turns
from exporter.web.listening.clients import SEND_TIMEOUT, Refusal, Refusals, no_refusals
from exporter.web.renderings import Make, Priority, Rendering, Renderings, Reply

MAX_REQUESTS: Final = 40
"""As node_exporter has it."""
_PATIENCE: Final = 0.1
"""Seconds that a reader may take nothing while others wait for its place."""


class Delivery:
    """Replies to requests whose bodies are worth a bound: all but one-line replies.

    At most `max_requests` bodies wait to be made or are being made, however many clients wait for
    each; half of them may be pages, searches and scrapes of some families, so that a whole scrape
    finds room. At most as many replies are sent at once. 0 is no limit.

    Two requests share a rendering only if `generation` gives the same for both.
    """

    def __init__(
        self,
        max_requests: int = MAX_REQUESTS,
        *,
        renderings: Renderings | None = None,
        generation: Callable[[], Hashable] = lambda: None,
        send_timeout: float = SEND_TIMEOUT,
        refused: Refusals | None = None,
    ) -> None:
        self._places = max_requests or math.inf
        self._places_of_others = max(1, max_requests // 2) if max_requests else math.inf
        self.renderings = renderings or Renderings()
        self._generation = generation
        self._send_timeout = send_timeout
        self._refused = no_refusals() if refused is None else refused
        self.sending: dict[Reply, None] = {}
        """Replies that have a place to send from."""
        self._next_to_send = Turns()
        self._sent = asyncio.Event()

    async def send(
        self,
        request: web.Request,
        question: Hashable,
        make: Make,
        headers: Mapping[str, str],
        priority: Priority = Priority.SCRAPE,
    ) -> web.StreamResponse:
        """Reply with a rendering, compressed if the request allows it; or with 503 if it is busy.

        The body is complete before its first byte is sent: its length is known, and a failure to
        make it is a 500 instead of half a body.

        Requests with the same question share their rendering for a second. `make` is called when it
        is this body's turn, so that it is up to date.
        """
        reply = Reply(request)
        question = (self._generation(), question)
        if not self.renderings.shares(question, reply) and self._busy(priority):
            self._refused[Refusal.BUSY] += 1
            return web.Response(
                text="503: too many requests are in progress: ask less often, or raise "
                "--web.max-requests.\n",
                status=503,
                headers={hdrs.RETRY_AFTER: "1"},
            )
        return await self._send(
            reply, question, make, web.StreamResponse(headers=headers), priority
        )

    async def send_own(
        self, request: web.Request, make: Make, headers: Mapping[str, str], status: int = 200
    ) -> web.StreamResponse:
        """Reply with a small body that no one else asks for, without a place."""
        response = web.StreamResponse(status=status, headers=headers)
        return await self._send(Reply(request), None, make, response, Priority.SELECTION)

    def _busy(self, priority: Priority) -> bool:
        """Whether there is no room for one more rendering."""
        pending = self.renderings.pending()
        if len(pending) >= self._places:
            return True
        others = sum(each is not Priority.SCRAPE for each in pending)
        return priority is not Priority.SCRAPE and others >= self._places_of_others

    async def _take_place(self, reply: Reply) -> None:
        """Wait until there is a place to send from: that of someone who does not read, if need be.

        It takes `_PATIENCE` at most. Clients take turns, whatever each of them asks for.
        """
        loop = asyncio.get_running_loop()
        async with self._next_to_send.turn(reply.client):
            while len(self.sending) >= self._places:
                slowest = min(self.sending, key=lambda each: each.waits_since)
                patience = min(slowest.waits_since - loop.time(), 0.0) + _PATIENCE
                if patience <= 0:
                    del self.sending[slowest]
                    slowest.cut()
                    continue
                self._sent.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(patience):
                        await self._sent.wait()
            self.sending[reply] = None

    async def _send(
        self,
        reply: Reply,
        question: Hashable | None,
        make: Make,
        response: web.StreamResponse,
        priority: Priority,
    ) -> web.StreamResponse:
        vary = [*response.headers.getall(hdrs.VARY, ()), hdrs.ACCEPT_ENCODING]
        response.headers[hdrs.VARY] = ", ".join(vary)
        if reply.takes_gzip:
            response.headers[hdrs.CONTENT_ENCODING] = "gzip"
        rendering = await self.renderings.get(question, make, priority, reply)
        try:
            if question is not None:
                await self._take_place(reply)
            if reply.present:  # or it left while its body was made
                response.content_length = rendering.length
                await self._write(reply, response, rendering)
        finally:
            self.renderings.release(rendering, reply)
            self.sending.pop(reply, None)
            self._sent.set()
        return response

    async def _write(
        self, reply: Reply, response: web.StreamResponse, rendering: Rendering
    ) -> None:
        try:
            async with asyncio.timeout(self._send_timeout):
                await response.prepare(reply.request)
                if reply.request.method != hdrs.METH_HEAD:
                    for chunk in rendering.chunks():
                        await reply.write(response, chunk)
                await response.write_eof()
        except OSError:  # it took too long, or the client has left
            reply.cut()
