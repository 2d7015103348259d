"""One block of `cms` as a server: defaults, and what concerns several keys at once.

Knows how keys depend on each other. Knows nothing of other blocks.
"""

from exporter.config import urls
from exporter.config.credentials import authentication, further_headers, secret
from exporter.config.findings import Findings
from exporter.config.model import Server
from exporter.config.secrets import Rule
from exporter.config.settings import ServerConfig, TargetConfig
from exporter.config.targets import Targets
from exporter.config.tls_files import tls_config
from exporter.config.validation import validate
from exporter.config.yaml.document import Place
from exporter.durations import format_duration

_SHORTEST_INTERVAL = 1.0
_USUAL_TIMEOUT = 10.0
# An interval of 10s or less leaves a fifth of itself between a poll's end and the next.
_TIMEOUT_SHARE = 0.8
_STALE_INTERVALS = 3
# For a block whose own is missing or wrong, so that the rest of it can be checked.
_STAND_IN_URL = "https://stand-in.invalid"


def server_config(data: object, place: Place, findings: Findings) -> ServerConfig | None:
    """The server of a block; None if nothing can be made of it. What is wrong goes to findings.

    The result is of use only if there were no problems. Its name is empty if that has one.
    """
    entries = data.get("targets") if isinstance(data, dict) else None
    if isinstance(data, dict) and isinstance(entries, list):
        # Entries are checked one by one, so that a wrong one does not hide the others.
        data = {**data, "targets": []}
    checked = validate(Server, data, place, findings.problems, {"url": _STAND_IN_URL})
    server, broken = checked.shape, checked.broken
    if server is None:
        return None
    url = _url(server, place, findings, broken)
    interval, timeout, stale_after = _times(server, place, findings, broken)
    _check_paging(server, place, findings, broken)
    return ServerConfig(
        name=_name(server, url, broken),
        url=url,
        auth=authentication(server, place / "auth", findings, broken),
        api=server.api,
        cti_version=server.cti_version,
        page_size=server.page_size,
        interval=interval,
        timeout=timeout,
        stale_after=stale_after,
        max_concurrency=server.max_concurrency,
        max_requests_per_second=server.max_requests_per_second,
        begin_time_unit=server.begin_time_unit,
        tls=tls_config(server.tls, place / "tls", findings),
        proxy_url=secret(server, "proxy_url", Rule.PROXY, place, findings),
        headers=further_headers(server, place / "headers", findings),
        targets=_targets(entries, server, place, findings, broken),
    )


def _name(server: Server, url: str, broken: frozenset[str]) -> str:
    if server.name is None and url != _STAND_IN_URL and "name" not in broken:
        return urls.host_and_port(url)
    return server.name or ""


def _url(server: Server, place: Place, findings: Findings, broken: frozenset[str]) -> str:
    if "url" in broken:
        return server.url
    try:
        urls.check_server(server.url)
    except ValueError as error:
        findings.say(place / "url", str(error))
        return _STAND_IN_URL
    if server.tls and server.tls.model_fields_set and server.url.lower().startswith("http:"):
        findings.say(place / "tls", "has no effect on an http url", on_key=True)
    return server.url.rstrip("/")


def _times(
    server: Server, place: Place, findings: Findings, broken: frozenset[str]
) -> tuple[float, float, float]:
    interval = server.interval
    timeout = server.timeout
    if timeout is None:
        timeout = min(_USUAL_TIMEOUT, _TIMEOUT_SHARE * interval)
    stale_after = server.stale_after
    if stale_after is None:
        stale_after = _STALE_INTERVALS * interval
    known = "interval" not in broken
    shown = f"interval, which is {format_duration(interval)}"
    if interval < _SHORTEST_INTERVAL:
        findings.say(place / "interval", "must be at least 1s")
    elif timeout <= 0:
        findings.say(place / "timeout", "must be above 0s")
    elif timeout >= interval and known:
        findings.say(place / "timeout", f"must be below {shown}")
    if stale_after < interval and known:
        findings.say(place / "stale_after", f"must not be below {shown}")
    return interval, timeout, stale_after


def _check_paging(server: Server, place: Place, findings: Findings, broken: frozenset[str]) -> None:
    if "page_size" not in server.model_fields_set or broken & {"api", "cti_version"}:
        return
    if server.cti_version != "3.6":
        findings.say(place / "page_size", 'only cti_version "3.6" answers in pages', on_key=True)
    elif server.api != "agentrestinfos":
        findings.say(place / "page_size", "agentrestinfo does not answer in pages", on_key=True)


def _targets(
    entries: object, server: Server, place: Place, findings: Findings, broken: frozenset[str]
) -> tuple[TargetConfig, ...]:
    targets = Targets(findings)
    if isinstance(entries, list):
        targets.add_entries(entries, place / "targets")
    targets.add_files(server.target_files, place / "target_files")
    result = targets.result()
    if not result and targets.complete and not broken & {"targets", "target_files"}:
        findings.say(place, "no targets: list them in targets or target_files")
    return result
