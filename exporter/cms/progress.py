"""How far one poll has come: what to blame if its time is up, and what `/probe?debug=true` shows.

It need not be the server that is to blame: a poll may have waited for its turn until it was too
late.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from exporter.clock import Moment
from exporter.cms import failures, wire
from exporter.cms.connections import Connection, Exchange, Phase
from exporter.cms.limits import Allowance, Decode
from exporter.cms.proxy import ChosenProxy
from exporter.errors import PollError, Reason
from exporter.rest import Snapshot
from exporter.server import Api, Server

MakeExchange = Callable[[Callable[[Connection], None], bool, bool], Exchange]
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


@dataclass(slots=True)
class Progress:
    """What a poll has done, and what it waits for."""

    decode: Decode
    allowance: Allowance
    exchange: MakeExchange
    within: float
    """Seconds for all of it, waiting for its turn included."""
    stored: bool
    """Whether its numbers are kept, so that they can become doubtful."""
    replied: Moment
    """When the last reply began; until then, when the poll started."""
    listed: float | None = None
    """On the boot clock: when the last reply of the last complete listing began."""
    page: int = 1
    requests: int = 0
    clock_skew: float | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Of the last reply."""
    exchanges: list[Exchange] = field(default_factory=list)
    paced: bool = False
    """Whether it waits until the next page may be asked for."""
    moved: Snapshot | None = None
    """The last complete listing, if its counters changed while it was read."""

    def out_of_time(
        self, server: Server, proxy: ChosenProxy | None, seconds: float, pause: float
    ) -> PollError:
        """The failure of a poll that did not end in its `seconds`, counted from its start.

        `pause` are the seconds for which the server will not be polled, because it asked for that.
        """
        if self.allowance.waits:
            return PollError(
                Reason.TIMEOUT,
                f"the reply is large, and another large one of this server was being read for most "
                f"of {seconds:g} s, one at a time: raise timeout, or lengthen interval",
            )
        if self.paced:
            if pause:
                return _of_pause(pause)
            return PollError(
                Reason.TIMEOUT,
                f"page {self.page} could not be requested within {seconds:g} s, because "
                "max_requests_per_second allows too few: raise it, or raise timeout",
            )
        waited = self.within - seconds
        if seconds < min(waited, server.timeout):
            return PollError(
                Reason.TIMEOUT,
                f"no free slot for a poll for {waited:.3g} s of {self.within:g} s, and no complete "
                "reply in the rest: raise max_concurrency or max_requests_per_second, or poll less "
                "often",
            )
        return failures.of_timeout(server, seconds, self.page, self.exchanges[-1], proxy)


def of_no_turn(seconds: float, pause: float) -> PollError:
    """A poll that could not start in time; `pause` are seconds for which the server wants none."""
    if pause:
        return _of_pause(pause)
    return PollError(
        Reason.TIMEOUT,
        f"no free slot for a poll within {seconds:g} s: raise max_concurrency or "
        "max_requests_per_second, or poll less often",
    )


def _of_pause(seconds: float) -> PollError:
    return PollError(
        Reason.RATE_LIMITED,
        f"the server asked for a pause (Retry-After), which lasts for another {seconds:.0f} s: "
        "lower max_requests_per_second or lengthen interval",
    )


class Steps:
    """Reports the steps of one poll, each as it begins. All its requests use new connections.

    Scheduled polls do without: they make plain exchanges and decode with the plain function.
    """

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
