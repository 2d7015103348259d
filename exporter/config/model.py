"""The shape of the file: every key, what it takes, and what it means.

The one place that knows the keys. The JSON Schema is generated from it, and the descriptions are
what an editor shows. Checks across several keys are in `servers.py`.
"""

import functools
from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from exporter import server
from exporter.config.fields import (
    Duration,
    Line,
    Name,
    Rate,
    SecretText,
    Text,
    Vdns,
    as_version,
    whole,
)
from exporter.durations import format_duration

DEFAULT: Final = server.Server("https://cms.invalid")
"""Where every default value comes from."""
MAX_BOUNDS: Final = 10
"""Each bound is one more series for each target."""


class Shape(BaseModel):
    """A mapping of the file: no keys but its own; an empty value counts as no value."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, data: object) -> object:
        if isinstance(data, dict) and None in data.values():
            known = shapes_by_key(cls)
            return {key: data[key] for key in data if data[key] is not None or key not in known}
        return data


class Auth(Shape):
    """Either access_key and secret_key, which sign each request, or authorization."""

    access_key: SecretText | None = Field(None, description="The access key (AK), or ${NAME}.")
    access_key_file: Text | None = Field(None, description="A file that contains the access key.")
    secret_key: SecretText | None = Field(None, description="The secret key (SK), or ${NAME}.")
    secret_key_file: Text | None = Field(
        None,
        description="A file that contains the secret key; read again on reload and after a 401.",
    )
    signed_headers: list[Text] | None = Field(
        None,
        description="The headers that the signature covers; must include host.",
        json_schema_extra={"default": [*server.SIGNED_HEADERS]},
    )
    empty_query_line: bool = Field(
        default=False,
        description="Sign an empty line where the query would be; some servers expect it.",
    )
    authorization: SecretText | None = Field(
        None, description="The complete Authorization header, sent as it is, or ${NAME}."
    )
    authorization_file: Text | None = Field(
        None, description="A file that contains the complete Authorization header."
    )


class Tls(Shape):
    """How to verify an https server, and how to authenticate to it."""

    ca_file: Text | None = Field(
        None, description="CA certificates in PEM format; default: the system's."
    )
    cert_file: Text | None = Field(
        None, description="The client certificate in PEM format; may contain its key too."
    )
    key_file: Text | None = Field(
        None, description="The key of the client certificate in PEM format, unencrypted."
    )
    server_name: Text | None = Field(
        None, description="The name in the server's certificate, if url has a bare IP address."
    )
    insecure_skip_verify: bool = Field(
        default=DEFAULT.tls.insecure_skip_verify,
        description="Accept any certificate. For tests only.",
    )
    min_version: Literal["TLS10", "TLS11", "TLS12", "TLS13"] | None = Field(
        None,
        description="The oldest TLS version to accept; default: TLS12. TLS10 and TLS11 are for old"
        " servers; with them the default of ciphers is DEFAULT:@SECLEVEL=0.",
    )
    ciphers: Text | None = Field(
        None,
        description="OpenSSL's cipher string for TLS up to 1.2, for old servers: DEFAULT adds RSA"
        " key exchange, DEFAULT:@SECLEVEL=0 short keys as well.",
    )


class Target(Shape):
    """One or more VDNs of a call center."""

    cc_id: Annotated[int, whole(server.CC_IDS[0], server.CC_IDS[-1])] = Field(
        alias="ccId", description="The call center's ID: 1 to 65535."
    )
    vdn: Vdns = Field(
        description="The VDN's ID, 1 to 5000; a range such as 1-40; or a list of these."
    )
    name: Line | None = Field(
        None, description="The label `name`, the same for each VDN of this entry."
    )
    labels: dict[str, Line] = Field(
        default={},
        description="Additional labels of this entry's samples, except cms, cc_id, vdn, name,"
        " reason, bound, doubt, le, quantile, instance, job, and names that start with __ or"
        " exported_. Values are text.",
        json_schema_extra={"propertyNames": {"pattern": "^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$"}},
    )
    max_resting: Annotated[int, whole(0)] | None = Field(
        None,
        description="How many agents of each VDN may rest at the same time before an alert fires.",
    )
    max_rest: Duration | None = Field(
        None, description="How long a rest may last before an alert fires."
    )
    max_wait: Duration | None = Field(
        None, description="How long an agent may wait for a rest before an alert fires."
    )


class Server(Shape):
    """One CC-CMS server."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["targets"]}, {"required": ["target_files"]}]}
    )

    name: Name | None = Field(
        None, description="The label `cms`, unique; default: host:port of url."
    )
    url: Text = Field(
        description="http(s)://host[:port], followed by a path prefix if a gateway requires one."
    )
    auth: Auth | None = Field(None, description="If omitted, no Authorization header is sent.")
    api: Literal["agentrestinfos", "agentrestinfo"] = Field(
        DEFAULT.api.value,
        description="The name of the interface; agentrestinfo is for 8.13 and earlier, which has"
        " no paging regardless of cti_version.",
    )
    cti_version: Annotated[Literal["3.6", "3.8"], as_version] = Field(
        "3.8",
        description="The version of the CTI platform. 3.6 is queried page by page.",
        json_schema_extra={"enum": ["3.6", "3.8", 3.6, 3.8], "type": ["string", "number"]},
    )
    page_size: Annotated[int, whole(1, server.PAGE_SIZE)] = Field(
        server.PAGE_SIZE,
        description="Rows per page, 1 to 100; only with cti_version 3.6 and agentrestinfos.",
    )
    interval: Duration = Field(
        DEFAULT.interval,
        description="How often each target is polled; at least 1s.",
        json_schema_extra={"default": format_duration(DEFAULT.interval)},
    )
    timeout: Duration | None = Field(
        None,
        description="Duration limit of a poll with all its pages; must be below interval. Default:"
        f" {format_duration(DEFAULT.timeout)}, or four fifths of interval if that is less.",
    )
    stale_after: Duration | None = Field(
        None,
        description="A target's values disappear when its last successful poll is older than this;"
        " at least interval. Default: three times interval.",
    )
    max_concurrency: Annotated[int, whole(1, 1000)] = Field(
        DEFAULT.max_concurrency, description="Requests in flight to this server, 1 to 1000."
    )
    max_requests_per_second: Rate | None = Field(
        None, description="A number above 0; default: no limit."
    )
    begin_time_unit: Literal["auto", "s", "ms"] = Field(
        DEFAULT.begin_time_unit.value,
        description="The unit of the server's beginTime; auto detects it from the size.",
    )
    max_resting: Annotated[int, whole(0)] | None = Field(
        None, description="The default of max_resting for this server's targets."
    )
    max_rest: Duration | None = Field(
        None, description="The default of max_rest for this server's targets."
    )
    max_wait: Duration | None = Field(
        None, description="The default of max_wait for this server's targets."
    )
    rest_bounds: list[Duration] = Field(
        default=[],
        description="Export how many agents rest longer than each of these durations; at most"
        f" {MAX_BOUNDS}, each above 0s. Default: none.",
        json_schema_extra={"maxItems": MAX_BOUNDS},
    )
    tls: Tls | None = Field(None, description="For an https server, or an https proxy.")
    proxy_url: SecretText | None = Field(
        None,
        description="An http proxy, with user and password if it requires them, or ${NAME}."
        " Default: HTTPS_PROXY and NO_PROXY.",
    )
    proxy_url_file: Text | None = Field(None, description="A file that contains the proxy's url.")
    headers: dict[str, SecretText] = Field(
        default={}, description="Additional headers of each request; a value may be ${NAME}."
    )
    host_header: Text | None = Field(
        None,
        description="The Host header to send and sign, if a load balancer rewrites it, or if the"
        " server expects it without the port; default: host and port as in url.",
    )
    targets: list[Target] = Field(default=[], description="What to poll from this server.")
    target_files: list[Text] = Field(
        default=[],
        description="Files with more targets, in lists like targets; wildcards are * and **.",
    )


class File(Shape):
    """The configuration of agent-rest-exporter. Paths are relative to the directory of the file."""

    # a place for YAML anchors, which `load.py` ignores
    model_config = ConfigDict(json_schema_extra={"patternProperties": {"^x-": {}}})

    cms: list[Server] = Field(
        description="One block for each CC-CMS server.", json_schema_extra={"minItems": 1}
    )


@functools.cache
def shapes_by_key(shape: type[Shape]) -> dict[str, type[Shape] | None]:
    """The keys of a mapping, each with the shape of the mapping, or list of mappings, below it."""
    return {
        info.alias or name: _shape_in(info.annotation) for name, info in shape.model_fields.items()
    }


def _shape_in(annotation: object) -> type[Shape] | None:
    if isinstance(annotation, type) and issubclass(annotation, Shape):
        return annotation
    return next(filter(None, map(_shape_in, get_args(annotation))), None)
