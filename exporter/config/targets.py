"""Target entries, of the configuration and of its target files, as single targets."""

import re
from pathlib import Path

from exporter.config import model
from exporter.config.files import real_path
from exporter.config.reader import Reader
from exporter.config.validation import validate
from exporter.config.yaml_document import Place
from exporter.store import Target, TargetKey

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# Our own labels, those of histograms and summaries, and those that Prometheus adds to a scrape.
_RESERVED = frozenset(
    {
        *("cms", "cc_id", "vdn", "name", "reason", "bound", "doubt"),
        *("le", "quantile", "instance", "job"),
    }
)


class Targets:
    """The targets of one server, gathered in order; each (ccId, vdn) may be listed once.

    `default` is what every target of the server has in common; its key has the server's name.

    Attributes:
        found: all targets so far.
        complete: whether every entry so far was usable.
        empty: what was found in files without any target, such as `none in a.yaml`.
    """

    def __init__(self, default: Target, reader: Reader) -> None:
        self.found: list[Target] = []
        self.complete = True
        self.empty: list[str] = []
        self._default = default
        self._reader = reader
        self._first: dict[tuple[int, int], Place] = {}

    def add_entries(self, entries: list[object], place: Place) -> None:
        """Take a list of entries at a place."""
        for index, data in enumerate(entries):
            entry = validate(model.Target, data, place / index, self._reader)
            if entry:
                self._add(entry.shape, entry.place, entry.items("vdn"))
            else:
                self.complete = False

    def add_files(self, patterns: list[str], place: Place) -> None:
        """Take the entries of files, of each once: several names may lead to it."""
        taken: set[Path] = set()
        for index, pattern in enumerate(patterns):
            names = self._reader.matches(pattern) if "*" in pattern else [pattern]
            if not names:
                self.empty.append(f"no file matches {pattern}")
            for name in names:
                real = real_path(self._reader.absolute(name))
                if real in taken:
                    self._reader.follow(self._reader.folder / name)
                else:
                    taken.add(real)
                    self._add_file(name, place / index)

    def _add_file(self, name: str, place: Place) -> None:
        document = self._reader.document(self._reader.folder / name, place)
        if document and isinstance(document.data, list):
            self.add_entries(document.data, Place(document))
            if not document.data:
                self.empty.append(f"{document.file} is empty")
            return
        self.complete = False
        if document:
            message = "must be a list of targets, such as - {ccId: 1, vdn: 1}"
            self._reader.report(Place(document), message)

    def _add(self, entry: model.Target, place: Place, vdn_place: Place) -> None:
        for label in entry.labels:
            if problem := _label_problem(label):
                self._reader.report(place / "labels" / label, problem, on_key=True)
        for key in ("max_rest", "max_wait"):
            if getattr(entry, key) == 0:
                self._reader.report(place / key, "must be above 0s")
        default = self._default
        labels = tuple(sorted(entry.labels.items()))
        max_resting = default.max_resting if entry.max_resting is None else entry.max_resting
        for index, vdns in enumerate(entry.vdn):
            at_vdn = vdn_place / index
            repeated: list[int] = []
            for vdn in vdns:
                if self._first.setdefault((entry.cc_id, vdn), at_vdn) is not at_vdn:
                    repeated.append(vdn)
                else:
                    self.found.append(
                        Target(
                            TargetKey(default.key.cms, entry.cc_id, vdn),
                            entry.name,
                            labels,
                            max_resting,
                            default.stale_after,
                            entry.max_rest or default.max_rest,
                            entry.max_wait or default.max_wait,
                            default.rest_bounds,
                        )
                    )
            if repeated:
                self._report_repeated(entry.cc_id, repeated, at_vdn)

    def _report_repeated(self, cc_id: int, vdns: list[int], place: Place) -> None:
        # One problem for each place, not for each of up to 5000 VDNs.
        more = f" (and {len(vdns) - 1} more)" if len(vdns) > 1 else ""
        first = self._first[cc_id, vdns[0]]
        self._reader.report(
            place,
            f"duplicate target: ccId {cc_id}, vdn {vdns[0]}{more} is already listed at {first}",
        )


def _label_problem(label: str) -> str | None:
    if label.startswith("__"):
        return 'label names that start with "__" are reserved for Prometheus'
    if not _LABEL.fullmatch(label):
        return "not a valid label name: use letters, digits and _, not starting with a digit"
    if label in _RESERVED or label.startswith("exported_"):
        return "reserved label name: the exporter or Prometheus sets it"
    return None
