"""Target entries, of the configuration and of its target files, as single targets.

Knows what a target may be called and that there is only one of each. Knows nothing of servers.
"""

import re
from glob import has_magic

from exporter.config.findings import Findings
from exporter.config.model import Target
from exporter.config.settings import TargetConfig
from exporter.config.validation import validate
from exporter.config.yaml.document import Place

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# Our own labels, those of histograms and summaries, and those that Prometheus puts on a scrape.
_RESERVED = frozenset(
    {"cms", "cc_id", "vdn", "name", "reason", "le", "quantile", "instance", "job"}
)


class Targets:
    """The targets of one server, gathered in order; each (ccId, vdn) may come once."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._first: dict[tuple[int, int], Place] = {}
        self._targets: list[TargetConfig] = []
        self._lost = False

    @property
    def complete(self) -> bool:
        """Whether every entry so far could be read, and so made a target."""
        return not self._lost

    def result(self) -> tuple[TargetConfig, ...]:
        """All targets so far."""
        return tuple(self._targets)

    def add_entries(self, entries: list[object], place: Place) -> None:
        """Take a list of entries that stands at a place."""
        for index, data in enumerate(entries):
            entry = validate(Target, data, place / index, self._findings.problems).shape
            if entry:
                self._add(entry, place / index)
            else:
                self._lost = True

    def add_files(self, patterns: list[str], place: Place) -> None:
        """Take the entries of files. A file that fits several patterns is taken once."""
        taken: set[str] = set()
        for index, pattern in enumerate(patterns):
            names = self._findings.matches(pattern)
            for name in names or ([] if has_magic(pattern) else [pattern]):
                if name not in taken:
                    taken.add(name)
                    self._add_file(name, place / index)

    def _add_file(self, name: str, place: Place) -> None:
        path = self._findings.folder / name
        document = self._findings.document(
            path, lambda reason: place.problem(f"{path} cannot be read: {reason}")
        )
        if document is None:
            self._lost = True
        elif isinstance(document.data, list):
            self.add_entries(document.data, Place(document))
        else:
            self._lost = True
            self._findings.say(
                Place(document), "must be a list of targets, such as - {ccId: 1, vdn: 1}"
            )

    def _add(self, entry: Target, place: Place) -> None:
        for label in entry.labels:
            self._check_label(label, place / "labels" / label)
        labels = tuple(sorted(entry.labels.items()))
        for index, vdns in enumerate(entry.vdn):
            at_vdn = place / "vdn" / index
            repeated: list[int] = []
            for vdn in vdns:
                if self._first.setdefault((entry.cc_id, vdn), at_vdn) is not at_vdn:
                    repeated.append(vdn)
                else:
                    self._targets.append(
                        TargetConfig(entry.cc_id, vdn, entry.name, labels, entry.max_resting)
                    )
            if repeated:
                self._say_repeated(entry.cc_id, repeated, at_vdn)

    def _say_repeated(self, cc_id: int, vdns: list[int], place: Place) -> None:
        # One problem for each place, not for each of up to 5000 VDNs.
        more = f" (and {len(vdns) - 1} more)" if len(vdns) > 1 else ""
        first = self._first[cc_id, vdns[0]]
        self._findings.say(
            place, f"ccId {cc_id}, vdn {vdns[0]}{more} is a target already, see {first}"
        )

    def _check_label(self, label: str, place: Place) -> None:
        if label.startswith("__"):
            message = 'a label name that starts with "__" is Prometheus\' own'
        elif not _LABEL.fullmatch(label):
            message = "no label name: letters, digits and _ only, and no digit at the start"
        elif label in _RESERVED or label.startswith("exported_"):
            message = "a reserved label name: the exporter or Prometheus sets it"
        else:
            return
        self._findings.say(place, message, on_key=True)
