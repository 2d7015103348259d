"""The file's shape: every key, what it takes, and what it means.

The one place that knows the keys. The JSON Schema is generated from it, and the descriptions are
what an editor shows. What concerns several keys at once is checked in `servers.py`.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from exporter.config.fields import Duration, Rate, SecretText, Text, Vdns, Whole, as_version

_EITHER_TARGETS: dict[str, Any] = {
    "anyOf": [{"required": ["targets"]}, {"required": ["target_files"]}]
}


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
    access_key_file: Text | None = Field(None, description="A file that holds the access key.")
    secret_key: SecretText | None = Field(None, description="The secret key (SK), or ${NAME}.")
    secret_key_file: Text | None = Field(
        None, description="A file that holds the secret key; read again on reload and after a 401."
    )
    signed_headers: list[Text] | None = Field(
        None,
        description="The headers that the signature covers; host is mandatory.",
        json_schema_extra={"default": ["content-length", "content-type", "host"]},
    )
    authorization: SecretText | None = Field(
        None, description="The whole Authorization header, sent as it is, or ${NAME}."
    )
    authorization_file: Text | None = Field(
        None, description="A file that holds the whole Authorization header."
    )


class Tls(Shape):
    """How to know an https server, and to be known by it."""

    ca_file: Text | None = Field(
        None, description="CA certificates in PEM form; default: the system's."
    )
    cert_file: Text | None = Field(
        None, description="The client certificate in PEM form; it may hold its key too."
    )
    key_file: Text | None = Field(
        None, description="The client certificate's key in PEM form, without a password."
    )
    server_name: Text | None = Field(
        None, description="The name in the server's certificate, if url names a bare IP."
    )
    insecure_skip_verify: bool = Field(
        default=False, description="Accept any certificate. For tests only."
    )


class Target(Shape):
    """One or more VDNs of a call center."""

    cc_id: Annotated[int, Whole(1, 65535)] = Field(
        alias="ccId", description="The call center's ID: 1 to 65535."
    )
    vdn: Vdns = Field(
        description="The VDN's ID, 1 to 5000; a range such as 1-40; or a list of these."
    )
    name: Text | None = Field(
        None, description="The label `name`, the same for each VDN of this entry."
    )
    labels: dict[str, Text] = Field(
        default={},
        description="Further labels of this entry's samples, but not cms, cc_id, vdn, name, reason,"
        " le, quantile, instance, job, or one that starts with __ or exported_. Values are text.",
        json_schema_extra={"propertyNames": {"pattern": "^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$"}},
    )
    max_resting: Annotated[int, Whole(0)] | None = Field(
        None, description="How many agents of each VDN may rest at once before an alert fires."
    )


class Server(Shape):
    """One CC-CMS server."""

    model_config = ConfigDict(json_schema_extra=_EITHER_TARGETS)

    name: Text | None = Field(
        None, description="The label `cms`, unique; default: host:port of url."
    )
    url: Text = Field(description="http(s)://host[:port], with a path prefix if a gateway has one.")
    auth: Auth | None = Field(None, description="Left out: no Authorization header is sent.")
    api: Literal["agentrestinfos", "agentrestinfo"] = Field(
        "agentrestinfos",
        description="The interface's name; agentrestinfo is that of 8.13 and earlier, which answers"
        " in one piece whatever cti_version says.",
    )
    cti_version: Annotated[Literal["3.6", "3.8"], as_version] = Field(
        "3.8",
        description="The CTI platform's version. 3.6 is asked in pages.",
        json_schema_extra={"enum": ["3.6", "3.8", 3.6, 3.8], "type": ["string", "number"]},
    )
    page_size: Annotated[int, Whole(1, 100)] = Field(
        100, description="Rows of a page, 1 to 100; only with cti_version 3.6 and agentrestinfos."
    )
    interval: Duration = Field(
        30.0,
        description="How often each target is asked; at least 1s.",
        json_schema_extra={"default": "30s"},
    )
    timeout: Duration | None = Field(
        None,
        description="For one poll with all its pages; below interval. Default: 10s, or four fifths"
        " of interval if that is less.",
    )
    stale_after: Duration | None = Field(
        None,
        description="A target's numbers disappear when its last success is older than this;"
        " at least interval. Default: three times interval.",
    )
    max_concurrency: Annotated[int, Whole(1, 1000)] = Field(
        8, description="Requests in flight to this server, 1 to 1000."
    )
    max_requests_per_second: Rate | None = Field(
        None, description="A number above 0; default: no limit."
    )
    begin_time_unit: Literal["auto", "s", "ms"] = Field(
        "auto", description="The unit of the server's beginTime; auto tells by its size."
    )
    tls: Tls | None = Field(None, description="For https only.")
    proxy_url: SecretText | None = Field(
        None,
        description="An http proxy, with user and password if it needs them, or ${NAME}."
        " Default: HTTPS_PROXY and NO_PROXY.",
    )
    proxy_url_file: Text | None = Field(None, description="A file that holds the proxy's url.")
    headers: dict[str, SecretText] = Field(
        default={}, description="Further headers of each request; a value may be ${NAME}."
    )
    targets: list[Target] = Field(default=[], description="What to ask this server for.")
    target_files: list[Text] = Field(
        default=[],
        description="Files with further targets, in lists like targets; * and ** are wildcards.",
    )


class File(Shape):
    """The configuration of agent-rest-exporter. Paths are relative to the file's folder."""

    cms: list[Server] = Field(
        description="One block for each CC-CMS server.", json_schema_extra={"minItems": 1}
    )


def shapes_by_key(shape: type[Shape]) -> dict[str, type[Shape] | None]:
    """The keys of a mapping, each with the shape of the mapping, or list of mappings, below it."""
    return {
        info.alias or name: _shape_in(info.annotation) for name, info in shape.model_fields.items()
    }


def keys(shape: type[Shape] = File, prefix: str = "") -> tuple[str, ...]:
    """Every key of the file, such as `cms.targets.ccId`, in the order of the model."""
    found: list[str] = []
    for key, below in shapes_by_key(shape).items():
        found.append(prefix + key)
        if below:
            found.extend(keys(below, f"{prefix}{key}."))
    return tuple(found)


def _shape_in(annotation: object) -> type[Shape] | None:
    if isinstance(annotation, type) and issubclass(annotation, Shape):
        return annotation
    return next(filter(None, map(_shape_in, get_args(annotation))), None)
