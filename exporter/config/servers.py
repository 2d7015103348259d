"""One block of `cms` as a server and its targets: defaults, and checks across several keys."""

import ssl
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from exporter.config import model
from exporter.config.credentials import SecretFile, authentication, further_headers, secret
from exporter.config.files import UnreadableError
from exporter.config.model import DEFAULT
from exporter.config.pem import loads
from exporter.config.reader import Reader
from exporter.config.targets import Targets
from exporter.config.validation import validate
from exporter.config.yaml.document import Place
from exporter.durations import format_duration
from exporter.endpoint import endpoint, host_name, proxy_endpoint, server_endpoint
from exporter.rest import BeginTimeUnit
from exporter.server import Api, Server, Signature, StaticAuthorization, Tls
from exporter.store import Target, TargetKey

_SHORTEST_INTERVAL = 1.0
# A short interval leaves a fifth of itself between a poll's end and the next one.
_TIMEOUT_SHARE = 0.8
_STALE_INTERVALS = 3


def server_and_targets(
    data: object, place: Place, reader: Reader
) -> tuple[Server, tuple[Target, ...]] | None:
    """The server of a block and its targets; None if the block cannot be read at all.

    The result is of use only if there were no problems. The name is empty if there is one with it.
    """
    entries = data.get("targets") if isinstance(data, dict) else None
    if isinstance(data, dict) and isinstance(entries, list):
        # Entries are checked one by one, so that a wrong one does not hide the others.
        data = {**data, "targets": []}
    checked = validate(model.Server, data, place, reader.problems, {"url": DEFAULT.url})
    block, broken = checked.shape, checked.broken
    if block is None:
        return None
    url = _url(block, place, reader, broken)
    timeout, stale_after = _times(block, place, reader, broken)
    server = Server(
        name=block.name or "",
        url=url,
        auth=authentication(block, place / "auth", reader, broken),
        api=Api(block.api),
        page_size=_page_size(block, place, reader, broken),
        interval=block.interval,
        timeout=timeout,
        max_concurrency=block.max_concurrency,
        max_requests_per_second=block.max_requests_per_second,
        begin_time_unit=BeginTimeUnit(block.begin_time_unit),
        rest_bounds=_limits(block, place, reader),
        tls=_tls(block.tls, place / "tls", reader) if block.tls else DEFAULT.tls,
        proxy_url=secret(block, "proxy_url", proxy_endpoint, place, reader),
        headers=further_headers(block, place / "headers", reader),
        host=_host_header(block, place / "host_header", reader),
    )
    if block.name is None and url != DEFAULT.url and "name" not in broken:
        server = replace(server, name=server.address)
    default = Target(
        TargetKey(server.name, 0, 0),
        max_resting=block.max_resting,
        stale_after=stale_after,
        max_rest=block.max_rest,
        max_wait=block.max_wait,
        rest_bounds=server.rest_bounds,
    )
    targets = Targets(default, reader)
    if isinstance(entries, list):
        targets.add_entries(entries, place / "targets")
    targets.add_files(block.target_files, place / "target_files")
    if not targets.found and targets.complete and not broken & {"targets", "target_files"}:
        why = ", ".join(["no targets", *targets.empty])
        reader.report(place, f"{why}: list them in targets or target_files")
    server = replace(server, fingerprint=reader.fingerprint(_files(server)))
    return server, tuple(targets.found)


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


def _url(block: model.Server, place: Place, reader: Reader, broken: frozenset[str]) -> str:
    """The URL; a default if it is missing or wrong, so that the rest can be checked."""
    if "url" in broken:
        return DEFAULT.url
    try:
        found = server_endpoint(block.url)
    except ValueError as error:
        reader.report(place / "url", str(error))
        return DEFAULT.url
    if block.tls and block.tls.model_fields_set and not found.tls:
        reader.report(place / "tls", "only applies to https urls", on_key=True)
    return found.url


def _host_header(block: model.Server, place: Place, reader: Reader) -> str | None:
    host = block.host_header
    valid = host is None
    if host is not None and host.isascii() and not set("/?#@") & set(host):
        with suppress(ValueError):
            valid = bool(endpoint(f"http://{host}"))
    if not valid:
        example = "10.22.26.181 or lima.example:28443"
        reader.report(place, f"must be a host, with a port if any, such as {example}")
    return host


def _times(
    block: model.Server, place: Place, reader: Reader, broken: frozenset[str]
) -> tuple[float, float]:
    """The timeout, and the age at which a target's values are stale."""
    interval, timeout, stale_after = block.interval, block.timeout, block.stale_after
    if timeout is None:
        timeout = min(DEFAULT.timeout, _TIMEOUT_SHARE * interval)
    if stale_after is None:
        stale_after = _STALE_INTERVALS * interval
    known = "interval" not in broken
    shown = f"interval, which is {format_duration(interval)}"
    if interval < _SHORTEST_INTERVAL:
        reader.report(place / "interval", "must be at least 1s")
    elif timeout <= 0:
        reader.report(place / "timeout", "must be above 0s")
    elif timeout >= interval and known:
        reader.report(place / "timeout", f"must be below {shown}")
    if stale_after < interval and known:
        reader.report(place / "stale_after", f"must not be below {shown}")
    return timeout, stale_after


def _limits(block: model.Server, place: Place, reader: Reader) -> tuple[float, ...]:
    """The bounds of rests, ascending, after a check of every limit."""
    for key in ("max_rest", "max_wait"):
        if getattr(block, key) == 0:
            reader.report(place / key, "must be above 0s")
    if len(block.rest_bounds) > model.MAX_BOUNDS:
        reader.report(place / "rest_bounds", f"must not list more than {model.MAX_BOUNDS} bounds")
    for index, bound in enumerate(block.rest_bounds):
        if bound == 0:
            reader.report(place / "rest_bounds" / index, "must be above 0s")
        elif bound in block.rest_bounds[:index]:
            reader.report(place / "rest_bounds" / index, "duplicate bound")
    return tuple(sorted(block.rest_bounds))


def _page_size(
    block: model.Server, place: Place, reader: Reader, broken: frozenset[str]
) -> int | None:
    if block.cti_version == "3.6" and Api(block.api) is Api.AGENT_REST_INFOS:
        return block.page_size
    if "page_size" in block.model_fields_set and not broken & {"api", "cti_version"}:
        message = 'only applies to cti_version "3.6"'
        if block.cti_version == "3.6":
            message = "does not apply to agentrestinfo, which has no paging"
        reader.report(place / "page_size", message, on_key=True)
    return None


def _tls(block: model.Tls, place: Place, reader: Reader) -> Tls:
    """The block with absolute paths, after a check that a client can use the files."""
    paths: dict[str, Path] = {}
    pems: dict[str, bytes] = {}
    for key in ("ca_file", "cert_file", "key_file"):
        name: str | None = getattr(block, key)
        if name is not None:
            paths[key] = reader.absolute(name)
            try:
                # the client loads it by its path
                pems[key] = reader.read(paths[key], once=False)
            except UnreadableError as error:
                reader.report(place / key, f"{paths[key]} cannot be read: {error}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if "ca_file" in pems and not loads(context.load_verify_locations, pems["ca_file"]):
        message = f"{paths['ca_file']} does not contain a usable PEM certificate"
        reader.report(place / "ca_file", message)
    pair = [key for key in ("cert_file", "key_file") if key in paths]
    if pair == ["key_file"]:
        reader.report(place / "key_file", "requires cert_file", on_key=True)
    elif pair and all(key in pems for key in pair):
        # with a password in place OpenSSL does not ask for one at the terminal
        load = partial(context.load_cert_chain, password="")
        if not loads(load, *(pems[key] for key in pair)):
            files = " and ".join(str(paths[key]) for key in pair)
            do = "do" if len(pair) > 1 else "does"
            reader.report(
                place / "cert_file",
                f"{files} {do} not contain a usable PEM certificate and its unencrypted key",
            )
    tls = Tls(
        **paths,
        server_name=_server_name(block.server_name, place / "server_name", reader),
        insecure_skip_verify=block.insecure_skip_verify,
        min_version=block.min_version,
        ciphers=block.ciphers,
    )
    try:
        tls.set_protocol(context)
    except ValueError as error:
        reader.report(place / "ciphers", str(error))
    return tls


def _server_name(name: str | None, place: Place, reader: Reader) -> str | None:
    """The name as TLS sends it: lowercase, and encoded if it is an international one."""
    if name is None:
        return None
    host = None
    try:
        host = host_name(f"[{name}]" if ":" in name else name)
    except ValueError as error:
        reader.report(place, str(error))
    else:
        if host is None or "%" in host:
            reader.report(place, "must be a name, or an address, without a port")
    return host and host.removesuffix(".")
