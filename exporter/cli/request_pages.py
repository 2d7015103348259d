"""What `query` shows of requests: what was exchanged (`--raw`), how one is signed, step by step.

The signature (`--explain-signature`) is computed for a server whose secrets are all `***`, by the
code that signs every request. So no secret can be in it, and nothing is described that is not done.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from rich.console import Console

from exporter.cli.output import BLANK, Line, sentence_lines, table_lines
from exporter.clock import Clock
from exporter.cms import signing, wire
from exporter.cms.foreign_text import MASK
from exporter.cms.requests import Requests
from exporter.inspection.recording import Recorded
from exporter.inspection.redaction import Redaction, Shown
from exporter.secret import Secret
from exporter.server import Server, Signature
from exporter.store import TargetKey

_HIDDEN: Final = Secret(MASK)
_ENCODED_MASK: Final = "%2A%2A%2A"
_COMPARE: Final = (
    (
        "HTTP 401",
        (
            "the server computed another signature: compare the lines above with its log, or with "
            "what the vendor's demo prints for the same time. The difference is the cause:"
        ),
    ),
    ("- host", "a gateway changes it on the way: set host_header to what the server receives"),
    (
        "- an empty line",
        "below the path, where the query would be: set auth.empty_query_line to {other}",
    ),
    ("- headers", "the server expects others to be signed: set auth.signed_headers"),
    ("- the time", "the clocks of both hosts differ: `check --live` says by how much"),
    ("- nothing", "access_key and secret_key are not a pair, or the server has different ones"),
    (
        "HTTP 403",
        "not the signature: a gateway refuses this host, or the access key has no rights to it",
    ),
)


def exchanges(recorded: Iterable[Recorded], redaction: Redaction) -> Iterator[Line]:
    """Requests in the order sent, each followed by its reply, masked, laid out as by `curl -v`."""
    for each in recorded:
        yield from _message(">", redaction.request(each))
        yield BLANK
        reply = redaction.reply(each)
        if reply is None:
            yield "< no reply", "yellow"
        else:
            yield from _message("<", reply)
        yield BLANK
    yield (
        f"{MASK}: masked. JSON is reformatted; values and their order are as received.",
        "dim",
    )


def _message(arrow: str, shown: Shown) -> Iterator[Line]:
    yield f"{arrow} {shown.first_line}", "bold"
    for name, value in shown.headers:
        yield f"{arrow} {name}: {value}".rstrip(), None
    yield arrow, None
    for line in shown.body:
        yield f"{arrow} {line}", None
    if shown.note:
        yield f"{arrow} ({shown.note})", "yellow"


def explanation(
    console: Console, server: Server, auth: Signature, target: TargetKey, clock: Clock
) -> Iterator[Line]:
    """The lines of the page, for a request that would be signed now."""
    hidden = replace(auth, access_key=_HIDDEN, secret_key=_HIDDEN)
    masked = replace(
        server, auth=hidden, headers=tuple((name, _HIDDEN) for name, _ in server.headers)
    )
    moment = clock()
    requests = Requests(masked, lambda: moment)
    first_page = (0, server.page_size) if server.page_size else ()
    question = wire.request_body(target.cc_id, target.vdn, *first_page)
    request = requests.make(question, hidden)
    prefix, _, _ = request.headers["authorization"].rpartition("/")
    canonical = requests.canonical(question, hidden)

    def say(text: str, style: str | None = None) -> list[Line]:
        return sentence_lines(console, text, style)

    asked = f"{target.cms}, ccId {target.cc_id}, vdn {target.vdn}"
    yield from say(f"{asked}: how a request is signed; nothing is sent", "bold")
    yield BLANK
    yield "method  POST", None
    yield f"url     {server.endpoint.origin}{request.extensions['target'].decode()}", None
    yield f"time    {signing.timestamp(moment.wall)}, by this host's clock", None
    yield f"body    {question.decode()}{', the first page' if first_page else ''}", None
    yield BLANK
    yield from say("1. The headers that are signed, exactly as they are sent", "bold")
    for name in auth.signed_headers:
        yield f"   {name}: {request.headers[name]}", None
    yield BLANK
    yield from say("2. The canonical request", "bold")
    for line in canonical.split("\n"):
        yield f"   {line.replace(_ENCODED_MASK, MASK)}", None
    secret = sorted({name for name, _ in server.headers}.intersection(auth.signed_headers))
    if secret:
        yield f"   ({', '.join(secret)}: masked here, signed as sent)", "dim"
    else:
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        yield f"   ({len(canonical)} bytes; their SHA-256 is", "dim"
        yield f"    {digest})", "dim"
    yield BLANK
    yield from say("3. The string to sign: its HMAC is the signing key", "bold")
    yield f"   {prefix}", None
    yield BLANK
    yield from say("4. The signature", "bold")
    yield "   signing key = hex(HMAC-SHA256(key: secret_key,  message: string to sign))", None
    yield "   signature   = hex(HMAC-SHA256(key: signing key, message: canonical request))", None
    yield BLANK
    yield from say("5. The header that is sent", "bold")
    yield f"   Authorization: {prefix}/{MASK}", None
    yield BLANK
    yield from say("If the server refuses it", "bold")
    other = str(not auth.empty_query_line).lower()
    yield from table_lines(console, [(case, text.format(other=other)) for case, text in _COMPARE])
    yield BLANK
    yield from say(
        "`check --live` tries the other ways to sign, and names the option that the server accepts."
    )
