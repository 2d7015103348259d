"""One block of `cms` as a server and its targets: defaults, and checks across several keys."""

import ssl
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from exporter.begin_time import BeginTimeUnit
from exporter.config import model
from exporter.config.credentials import SecretFile, authentication, further_headers, secret
from exporter.config.files import UnreadableError, real_path
from exporter.config.model import DEFAULT
from exporter.config.pem import PemError, load_authorities, load_pair
from exporter.config.reader import Reader
from exporter.config.validation import Block, validate
from exporter.config.yaml_document import Place
from exporter.durations import format_duration
from exporter.endpoint import endpoint, host_name, proxy_endpoint, server_endpoint
from exporter.server import Api, Server, Signature, StaticAuthorization, Tls
from exporter.store import Target, TargetKey

_SHORTEST_INTERVAL = 1.0
# A short interval leaves a fifth of itself between a poll's end and the next one.
_TIMEOUT_SHARE = 0.8
_STALE_INTERVALS = 3

# Our own labels, those of histograms and summaries, and those that Prometheus adds to a scrape.
_RESERVED = frozenset(
    {
        *("cms", "cc_id", "vdn", "name", "reason", "bound", "doubt"),
        *("le", "quantile", "instance", "job"),
    }
)


def server_and_targets(
    data: object, place: Place, reader: Reader
) -> tuple[Server, list[Target]] | None:
    """The server of a block and its targets; None if the block cannot be read at all.

    The result is of use only if there were no problems. The name is empty if it, or
    the url that it defaults to, is invalid.
    """
    entries = data.get("targets") if isinstance(data, dict) else None
    if isinstance(data, dict) and isinstance(entries, list):
        # Entries are checked one by one, so that a wrong one does not hide the others.
        data = {**data, "targets": []}
    block = validate(model.Server, data, place, reader, {"url": DEFAULT.url})
    if block is None:
        return None
    shape, broken = block.shape, block.broken
    url = _url(block)
    timeout, stale_after = _times(block)
    server = Server(
        name=shape.name or "",
        url=url,
        auth=authentication(block),
        api=Api(shape.api),
        page_size=_page_size(block),
        interval=shape.interval,
        timeout=timeout,
        max_concurrency=shape.max_concurrency,
        max_requests_per_second=shape.max_requests_per_second,
        begin_time_unit=BeginTimeUnit(shape.begin_time_unit),
        rest_bounds=_limits(block),
        tls=_tls(block.below("tls", shape.tls)) if shape.tls else DEFAULT.tls,
        proxy_url=secret(block, "proxy_url", proxy_endpoint),
        headers=further_headers(block),
        host=_host_header(block),
    )
    _check_use_of_tls(block, server)
    if shape.name is None and url != DEFAULT.url and "name" not in broken:
        server = replace(server, name=server.address)
    default = Target(
        TargetKey(server.name, 0, 0),
        max_resting=shape.max_resting,
        stale_after=stale_after,
        max_rest=shape.max_rest,
        max_wait=shape.max_wait,
        rest_bounds=server.rest_bounds,
    )
    targets = Targets(default, reader)
    if isinstance(entries, list):
        targets.add_entries(entries, place / "targets")
    targets.add_files(shape.target_files, block.items("target_files"))
    if not targets.found and targets.complete and not broken & {"targets", "target_files"}:
        why = ", ".join(["no targets", *targets.empty])
        reader.report(place, f"{why}: list them in targets or target_files")
    server = replace(server, fingerprint=reader.fingerprint(_files(server)))
    return server, targets.found


def _files(server: Server) -> list[Path]:
    """Every file that a server is made from."""
    sources: list[object] = [server.proxy_url]
    if isinstance(server.auth, Signature):
        sources += [server.auth.access_key, server.auth.secret_key]
    elif isinstance(server.auth, StaticAuthorization):
        sources.append(server.auth.value)
    tls = server.tls
    return [
        *(source.path for source in sources if isinstance(source, SecretFile)),
        *(path for path in (tls.ca_file, tls.cert_file, tls.key_file) if path),
    ]


def _url(block: Block[model.Server]) -> str:
    """The URL; a default if it is missing or wrong, so that the rest can be checked."""
    try:
        return server_endpoint(block.shape.url).url
    except ValueError as error:
        block.report("url", str(error))
        return DEFAULT.url


def _check_use_of_tls(block: Block[model.Server], server: Server) -> None:
    """Report options of TLS that no connection has: that of an http url, without an https proxy."""
    shape = block.shape
    if server.endpoint.tls or not shape.tls or not shape.tls.model_fields_set:
        return
    if server.proxy_url is not None:
        used = proxy_endpoint(server.proxy_url.loaded.reveal()).tls
    elif {"proxy_url", "proxy_url_file"} & (shape.model_fields_set | block.broken):
        used = True  # for all that is known of it
    else:
        environ = block.reader.environ
        proxy = environ.get("http_proxy") or environ.get("HTTP_PROXY") or ""
        used = proxy.strip().lower().startswith("https://")
    if not used:
        block.report("tls", "only applies to https urls", on_key=True)


def _host_header(block: Block[model.Server]) -> str | None:
    host = block.shape.host_header
    valid = host is None
    if host is not None and host.isascii() and not set("/?#@") & set(host):
        with suppress(ValueError):
            valid = bool(endpoint(f"http://{host}"))
    if not valid:
        example = "10.22.26.181 or lima.example:28443"
        block.report("host_header", f"must be a host, with a port if any, such as {example}")
    return host


def _times(block: Block[model.Server]) -> tuple[float, float]:
    """The timeout, and the age at which a target's values are stale."""
    shape = block.shape
    interval, timeout, stale_after = shape.interval, shape.timeout, shape.stale_after
    if timeout is None:
        timeout = min(DEFAULT.timeout, _TIMEOUT_SHARE * interval)
    if stale_after is None:
        stale_after = _STALE_INTERVALS * interval
    known = "interval" not in block.broken
    shown = f"interval, which is {format_duration(interval)}"
    if interval < _SHORTEST_INTERVAL:
        block.report("interval", "must be at least 1s")
    elif timeout <= 0:
        block.report("timeout", "must be above 0s")
    elif timeout >= interval and known:
        block.report("timeout", f"must be below {shown}")
    if stale_after < interval and known:
        block.report("stale_after", f"must not be below {shown}")
    return timeout, stale_after


def _limits(block: Block[model.Server]) -> tuple[float, ...]:
    """The bounds of rests, ascending, after a check of every limit."""
    for key in ("max_rest", "max_wait"):
        if getattr(block.shape, key) == 0:
            block.report(key, "must be above 0s")
    bounds = block.shape.rest_bounds
    if len(bounds) > model.MAX_BOUNDS:
        block.report("rest_bounds", f"must not list more than {model.MAX_BOUNDS} bounds")
    for index, bound in enumerate(bounds):
        if bound == 0 or bound in bounds[:index]:
            wrong = "duplicate bound" if bound else "must be above 0s"
            block.reader.report(block.items("rest_bounds") / index, wrong)
    return tuple(sorted(bounds))


def _page_size(block: Block[model.Server]) -> int | None:
    shape = block.shape
    if shape.cti_version == "3.6" and Api(shape.api) is Api.AGENT_REST_INFOS:
        return shape.page_size
    if "page_size" in shape.model_fields_set and not block.broken & {"api", "cti_version"}:
        message = 'only applies to cti_version "3.6"'
        if shape.cti_version == "3.6":
            message = "does not apply to agentrestinfo, which has no paging"
        block.report("page_size", message, on_key=True)
    return None


def _tls(block: Block[model.Tls]) -> Tls:
    """The block with absolute paths, after a check that a client can use the files."""
    shape, reader = block.shape, block.reader
    paths: dict[str, Path] = {}
    pems: dict[str, bytes] = {}
    for key in ("ca_file", "cert_file", "key_file"):
        name: str | None = getattr(shape, key)
        if name is not None:
            paths[key] = reader.absolute(name)
            try:
                # the client loads it by its path
                pems[key] = reader.read(paths[key], once=False)
            except UnreadableError as error:
                block.report(key, f"{paths[key]} cannot be read: {error}")
    tls = Tls(
        **paths,
        server_name=_server_name(block),
        insecure_skip_verify=shape.insecure_skip_verify,
        min_version=shape.min_version,
        ciphers=shape.ciphers,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        # first: they say how weak a key may be
        tls.set_protocol(context)
    except ValueError as error:
        block.report("ciphers", str(error))
    if "ca_file" in pems:
        try:
            load_authorities(context, pems["ca_file"])
        except PemError as error:
            block.report("ca_file", f"{paths['ca_file']} {error}")
    key = "key_file" if "key_file" in paths else "cert_file"
    if "cert_file" not in paths and key in paths:
        block.report("key_file", "requires cert_file", on_key=True)
    elif "cert_file" in pems and key in pems:
        try:
            load_pair(context, pems["cert_file"], pems[key])
        except PemError as error:
            at = key if error.of_key else "cert_file"
            block.report(at, f"{paths[at]} {error}{_remedy(error, key)}")
    return tls


def _remedy(error: PemError, key: str) -> str:
    """What a client can do besides about its certificate; its key is that of the option `key`."""
    if error.weak:
        return ", or set ciphers to DEFAULT:@SECLEVEL=0"
    return "; set key_file if it is in another file" if error.of_key and key == "cert_file" else ""


def _server_name(block: Block[model.Tls]) -> str | None:
    """The name as TLS sends it: lowercase, and encoded if it is an international one."""
    name, host = block.shape.server_name, None
    if name is None:
        return None
    try:
        host = host_name(f"[{name}]" if ":" in name else name)
    except ValueError as error:
        block.report("server_name", str(error))
    else:
        if host is None or "%" in host:
            block.report("server_name", "must be a name, or an address, without a port")
    return host and host.removesuffix(".")


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
                    # watched all the same: a link to a file already read may change
                    with suppress(UnreadableError):
                        self._reader.read(self._reader.folder / name)
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
    if not (label.isascii() and label.isidentifier()):
        return "not a valid label name: use letters, digits and _, not starting with a digit"
    if label in _RESERVED or label.startswith("exported_"):
        return "reserved label name: the exporter or Prometheus sets it"
    return None
