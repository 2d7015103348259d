"""The steps of one poll, reported as each begins: what `/probe?debug=true` shows.

Scheduled polls do not use this: they make plain exchanges and decode with the plain
function.
"""

from collections.abc import Callable
from typing import Final

from exporter.cms import wire
from exporter.cms.connections import Connection, Exchange, Phase
from exporter.server import Api

Note = Callable[[str, str], None]
"""Called as a step begins, with its name and what it does. The one before it has ended."""

SIGN: Final = "sign"
NAME: Final = "name"
CONNECT: Final = "connect"
TLS: Final = "tls"
WAIT: Final = "wait"
READ: Final = "read"
REDUCE: Final = "reduce"

_AT_PHASE: Final = {
    Phase.RESOLVING: (NAME, "look up {}"),
    Phase.CONNECTING: (CONNECT, "connect to {}"),
    Phase.HANDSHAKE: (TLS, "shake hands"),
    Phase.ASKED: (WAIT, "send the request and wait for the reply"),
}
"""The step that begins with a phase, and what it does, with `{}` for the peer."""


class Steps:
    """Tells the steps of one poll, whose requests all use new connections."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._requests = 0

    def exchange(
        self,
        on_surplus: Callable[[Connection], None],
        fresh: bool,  # noqa: FBT001  # as Exchange takes them
        single_use: bool,  # noqa: FBT001  # likewise
    ) -> Exchange:
        """An exchange that reports its phases. A kept connection would skip some."""
        del fresh
        self._requests += 1
        self._note(SIGN, f"prepare request {self._requests}")
        return _ToldExchange(self._note, on_surplus, single_use=single_use)

    def decode(self, body: bytes | bytearray, api: Api) -> wire.Reply:
        """Decode a reply: reading has ended, and reducing begins afterwards."""
        self._note(REDUCE, f"decode {len(body):,} bytes")
        reply = wire.decode(body, api)
        self._note(REDUCE, f"reconcile {len(reply.rows):,} rows with the counters")
        return reply


class _ToldExchange(Exchange):
    """An exchange that reports each phase as it is reached, and the beginning of the reply."""

    __slots__ = ("_note",)

    def __init__(
        self, note: Note, on_surplus: Callable[[Connection], None], *, single_use: bool
    ) -> None:
        super().__init__(on_surplus, fresh=True, single_use=single_use)
        self._note = note

    def reached(self, phase: Phase, peer: str = "") -> None:
        """Also report it. A handshake takes several turns, and is reported once."""
        if phase in _AT_PHASE and (peer or phase is not self.phase):
            name, text = _AT_PHASE[phase]
            self._note(name, text.format(peer))
        super().reached(phase, peer)

    def received(self, data: bytes) -> None:
        """Also report that the reply has begun."""
        if not self.first_bytes:
            self._note(READ, "read the reply")
        super().received(data)
