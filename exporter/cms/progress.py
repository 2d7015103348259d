"""How far one poll has come, and what to blame if its time is up."""

from collections.abc import Callable
from dataclasses import dataclass, field

from exporter.clock import Moment
from exporter.cms import failures, turn_failures
from exporter.cms.capacity import Allowance, Decode
from exporter.cms.connections import Connection, Exchange
from exporter.cms.proxy import ChosenProxy
from exporter.errors import PollError
from exporter.rest import Snapshot
from exporter.server import Server

MakeExchange = Callable[[Callable[[Connection], None], bool, bool], Exchange]


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
        """The failure of a poll that did not end in its `seconds`.

        Args:
            server: that it asked.
            proxy: that it asked through.
            seconds: from its start.
            pause: seconds for which the server will not be polled, because it asked for a pause.
        """
        if self.allowance.waits:
            return turn_failures.of_large_listings(seconds)
        if self.paced:
            return turn_failures.of_next_page(seconds, self.page, pause)
        waited = self.within - seconds
        if seconds < min(waited, server.timeout):
            return turn_failures.of_late_turn(waited, self.within)
        return failures.of_timeout(server, seconds, self.page, self.exchanges[-1], proxy)
