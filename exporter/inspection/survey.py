"""The settings that a server needs, found by trying. Used by commands, not by the daemon.

A survey polls with the defaults first, and then with one option changed at a time. A changed
option is kept only if the server's reply asks for it, or if the poll gets further with it than
without. It always verifies certificates, and never tries http where the user wrote https. Old TLS
versions and ciphers are the only less secure settings that it chooses, because some servers support
nothing newer; it reports that it did.

A server can refuse a signature though keys and clocks seem right: the vendor's pages leave two
doubts about what is signed, and a load balancer can add a third. Each variant is tried once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

import httpx

from exporter.begin_time import BeginTimeUnit, usable_start
from exporter.clock import Clock
from exporter.cms.client import CmsClient, Inspection
from exporter.cms.connections import Exchange
from exporter.cms.requests import Requests
from exporter.cms.transport import Transport
from exporter.errors import Clue, PollError, PollResult, Reason
from exporter.server import PAGE_SIZE, Api, Server, Signature, Tls

_MOST_ASKED: Final = 20
"""VDNs that are asked in search of one with agents to tell by."""
_ENOUGH: Final = 2
"""Rows by which paging shows."""
_ANSWERED: Final = frozenset(
    {
        *(Reason.AUTH, Reason.RATE_LIMITED, Reason.HTTP, Reason.API, Reason.DECODE),
        *(Reason.SCHEMA, Reason.TOO_LARGE),
    }
)
"""Failures that come with an HTTP reply: the scheme of the URL is right."""
_SPEAKS_TLS: Final = frozenset({Clue.UNKNOWN_CA, Clue.OTHER_NAME, Clue.CERTIFICATE, Clue.OLD_TLS})
_MAYBE_TLS: Final = frozenset({Reason.HTTP, Reason.DISCONNECTED, Reason.TIMEOUT})
_OLD_TLS: Final = (
    Tls(ciphers="DEFAULT"),
    Tls(ciphers="DEFAULT:@SECLEVEL=0"),
    Tls(min_version="TLS11"),
    Tls(min_version="TLS10"),
)
"""From the least to the most that is allowed."""
_PING: Final = "/rest/cmsapp/v1/ping"
_HELLO: Final = b'{"say":"hello"}'

Vdn = tuple[int, int]
"""ccId and vdn."""
Ask = Callable[[Server, Vdn], Awaitable[Inspection]]
"""Polls a VDN of a server."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found out.

    Args:
        server: as it is to be configured.
        result: of its last poll.
        reasons: why an option is set, or could not be found out, by the option's name.
    """

    server: Server
    result: PollResult
    reasons: dict[str, str]

    @property
    def error(self) -> PollError | None:
        """Why its last poll has failed; None if it has succeeded."""
        return self.result.error


class Survey:
    """Finds out about one server.

    It polls `vdns`, at least one, and reports each finding as a sentence.
    """

    def __init__(
        self, ask: Ask, vdns: Sequence[Vdn], tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._ask = ask
        self._vdns = vdns[:_MOST_ASKED]
        self._tell = tell
        self._reasons: dict[str, str] = {}

    async def find(self, server: Server, *, guess_scheme: bool = False) -> Found:
        """Ask until a poll succeeds, or nothing is left to try.

        If the server's scheme is a guess, http will do where https fails.
        """
        seen = await self._ask(server, self._vdns[0])
        for change in (self._other_scheme, self._old_tls, self._signature, self._interface):
            if seen.result.error is None:
                break
            if change == self._other_scheme and server.endpoint.tls and not guess_scheme:
                continue
            server, seen = await change(server, seen)
        if seen.result.error is None:
            server, seen = await self._listing(server, seen)
        return Found(server, seen.result, self._reasons)

    def _set(self, option: str, reason: str) -> None:
        self._reasons[option] = reason
        self._tell(reason)

    async def _other_scheme(self, server: Server, seen: Inspection) -> tuple[Server, Inspection]:
        """Whether a server answers with TLS, or without."""
        tls, error = server.endpoint.tls, seen.result.error
        maybe = error is not None and (
            error.clue is Clue.PLAIN_HTTP if tls else error.reason in _MAYBE_TLS
        )
        if not maybe:
            return server, seen
        scheme = "http" if tls else "https"
        other = replace(server, url=f"{scheme}://{server.url.partition('://')[2]}")
        tried = await self._ask(other, self._vdns[0])
        failure = tried.result.error
        speaks = failure is None or failure.reason in _ANSWERED or failure.clue in _SPEAKS_TLS
        # one that leads to TLS is not asked without
        if not speaks or (failure is not None and failure.clue is Clue.NEEDS_TLS):
            return server, seen
        self._set("url", f"the server answers with {scheme}")
        return other, tried

    async def _old_tls(self, server: Server, seen: Inspection) -> tuple[Server, Inspection]:
        """The newest TLS that the server has."""
        error = seen.result.error
        if error is None or error.clue is not Clue.OLD_TLS:
            return server, seen
        for old in _OLD_TLS:
            tls = replace(server.tls, min_version=old.min_version, ciphers=old.ciphers)
            variant = replace(server, tls=tls)
            tried = await self._ask(variant, self._vdns[0])
            failure = tried.result.error
            if failure is None or failure.clue is not Clue.OLD_TLS:
                option = (
                    f"ciphers: {old.ciphers}" if old.ciphers else f"min_version: {old.min_version}"
                )
                self._set("tls", f"the server supports only old TLS, and accepts {option}")
                return variant, tried
        return server, seen

    async def _signature(self, server: Server, seen: Inspection) -> tuple[Server, Inspection]:
        """What the server wants to be signed, if it refuses a signature."""
        if not isinstance(server.auth, Signature) or not _is_refused_signature(seen.result):
            return server, seen
        for variant, remedy in _signature_variants(server, server.auth):
            tried = await self._ask(variant, self._vdns[0])
            if not _is_refused_signature(tried.result):
                option = "host_header" if variant.host != server.host else "empty_query_line"
                self._set(option, f"the server accepts the signature only with {remedy}")
                return variant, tried
        return server, seen

    async def _interface(self, server: Server, seen: Inspection) -> tuple[Server, Inspection]:
        """The interface of 8.13 and earlier, or CTI 3.6."""
        error = seen.result.error
        if error is not None and error.clue is Clue.NO_INTERFACE:
            (other,) = set(Api) - {server.api}
            variant = replace(server, api=other, page_size=None)
            tried = await self._ask(variant, self._vdns[0])
            failure = tried.result.error
            if failure is None or failure.clue is not Clue.NO_INTERFACE:
                self._set(
                    "api", f"the server has no {server.api.value} (HTTP 404), but {other.value}"
                )
                return variant, tried
        if error is not None and error.clue is Clue.CTI_3_6:
            variant = replace(server, page_size=PAGE_SIZE)
            tried = await self._ask(variant, self._vdns[0])
            self._set("cti_version", "the server says that it is CTI 3.6")
            return variant, tried
        return server, seen

    async def _listing(self, server: Server, seen: Inspection) -> tuple[Server, Inspection]:
        """Pages, and the unit of times: from the VDN that lists the most agents."""
        best, vdn = seen, self._vdns[0]
        for other in self._vdns[1:]:
            if len(best.rows) >= _ENOUGH and _unit(best):
                break
            tried = await self._ask(server, other)
            if tried.result.error is None and len(tried.rows) > len(best.rows):
                best, vdn = tried, other
        server = self._with_unit(server, best)
        if server.api is Api.AGENT_REST_INFOS and "cti_version" not in self._reasons:
            server = await self._with_pages(server, best, vdn)
        return server, seen

    def _with_unit(self, server: Server, seen: Inspection) -> Server:
        unit = _unit(seen)
        if unit is None:
            self._set(
                "begin_time_unit",
                "the unit of beginTime is not known yet, because no agent was listed with a start; "
                "auto detects it",
            )
            return replace(server, begin_time_unit=BeginTimeUnit.AUTO)
        words = "milliseconds" if unit is BeginTimeUnit.MILLISECONDS else "seconds"
        self._set("begin_time_unit", f"the server sends beginTime in {words}")
        return replace(server, begin_time_unit=unit)

    async def _with_pages(self, server: Server, seen: Inspection, vdn: Vdn) -> Server:
        """CTI 3.6 sends no more rows than it is asked for; CTI 3.8 sends all of them."""
        rows = len(seen.rows)
        if rows < _ENOUGH:
            self._set(
                "cti_version",
                "whether the server sends pages (CTI 3.6) is not known, because fewer than two "
                "agents were listed; run init again, into another file, when agents rest",
            )
            return replace(server, page_size=None)
        paged = replace(server, page_size=max(1, rows // 2))
        result = (await self._ask(paged, vdn)).result
        if result.error is None and result.requests > 1:
            self._set("cti_version", "the server sends pages, as CTI 3.6 does")
            return replace(server, page_size=PAGE_SIZE)
        self._set("cti_version", "the server sends all rows at once, as CTI 3.8 does")
        return replace(server, page_size=None)


def _unit(seen: Inspection) -> BeginTimeUnit | None:
    """The unit in which most starts can be believed; None without any."""
    snapshot = seen.result.snapshot
    assert snapshot is not None  # noqa: S101  # it succeeded
    starts = [row.begin_time for row in seen.rows]

    def believed(unit: BeginTimeUnit) -> int:
        usable = (usable_start(start, snapshot.server_time, unit) for start in starts)
        return sum(start is not None for start in usable)

    best = max(BeginTimeUnit.MILLISECONDS, BeginTimeUnit.SECONDS, key=believed)
    return best if believed(best) else None


async def explain_refusal(  # noqa: PLR0913  # one of them by name
    server: Server,
    result: PollResult,
    vdn: Vdn,
    environ: Mapping[str, str],
    clock: Clock,
    *,
    variants_tried: bool = False,
) -> str | None:
    """What would make a server accept the signature that it has refused.

    Args:
        server: that was polled.
        result: of the poll.
        vdn: that was polled: ccId and vdn.
        environ: where a proxy is looked up if the server names none.
        clock: its monotonic part must be the event loop's.
        variants_tried: whether it has refused the variants, too: each refusal can count for a
            server that locks keys.

    Returns:
        One sentence; None if the poll was not refused for its signature, or for the clocks.
    """
    auth = server.auth
    if not isinstance(auth, Signature) or not _is_refused_signature(result):
        return None
    for variant, remedy in () if variants_tried else _signature_variants(server, auth):
        client = CmsClient(variant, Transport(variant, environ), clock)
        try:
            tried = await client.poll(*vdn)
        finally:
            await client.aclose()
        if tried.error is None or tried.error.reason is Reason.API:
            return f"the server accepts the signature with {remedy}: set it"
    status = await _ping(server, auth, environ, clock)
    if status == httpx.codes.OK:
        return (
            "the server accepts the signature of the vendor's ping, so the keys are right: check "
            "api, and the rights of the access key"
        )
    answered = "does not answer" if status is None else f"returns HTTP {status}"
    return (
        "the server refuses every variant of the signature (empty query line, Host without and "
        f"with the port), and the vendor's ping {answered}: check access_key and secret_key"
    )


def _is_refused_signature(result: PollResult) -> bool:
    """Whether a server has refused a signature, and not because of the clocks."""
    return result.error is not None and result.error.clue is Clue.SIGNATURE


def _signature_variants(server: Server, auth: Signature) -> Iterator[tuple[Server, str]]:
    """The other ways to sign, each with the option that chooses it."""
    other = not auth.empty_query_line
    yield (
        replace(server, auth=replace(auth, empty_query_line=other)),
        f"auth.empty_query_line: {str(other).lower()}",
    )
    authority = server.endpoint.authority
    bare = authority.removesuffix(f":{server.endpoint.port}")
    for host in dict.fromkeys([bare, authority, f"{bare}:{server.endpoint.port}"]):
        if host != server.host_header:
            yield replace(server, host=host), f'host_header: "{host}"'


async def _ping(
    server: Server, auth: Signature, environ: Mapping[str, str], clock: Clock
) -> int | None:
    """The status of the vendor's own test of a signature, or None without a reply."""
    transport = Transport(server, environ)
    request = Requests(server, clock, _PING).make(_HELLO, auth)
    # a connection that is used once needs no watch
    request.extensions["exchange"] = Exchange(lambda _: None, single_use=True)
    try:
        async with asyncio.timeout(server.timeout):
            response = await transport.handle_async_request(request)
            await cast("httpx.AsyncByteStream", response.stream).aclose()
    except (httpx.TransportError, TimeoutError):
        return None
    finally:
        await transport.aclose()
    return response.status_code
