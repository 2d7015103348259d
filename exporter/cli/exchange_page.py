"""`query --raw`: the requests of one poll and their replies, masked, laid out as by `curl -v`.

`>` is what was sent, `<` what was received.
"""

from collections.abc import Iterable, Iterator

from exporter.cli.terminal import BLANK, Line
from exporter.cms.recording import Recorded
from exporter.cms.redaction import MASK, Redaction, Shown


def exchanges(recorded: Iterable[Recorded], redaction: Redaction) -> Iterator[Line]:
    """The lines of every request, in the order sent, each followed by its reply."""
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
        f"{MASK}: masked. JSON is laid out anew; its values and their order are as received.",
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
