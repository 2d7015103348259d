"""What a user can get wrong in the values, and the sentence that says so."""

import importlib
from typing import Any

import pytest

from tests.support.chart import texts

DEMO: dict[str, Any] = {"demo": {"enabled": True}}
SERVER: dict[str, Any] = {"url": "https://cms.example", "targets": [{"ccId": 1, "vdn": 1}]}
SERVE: dict[str, Any] = {"config": {"cms": [SERVER]}}


def refusal(values: dict[str, Any]) -> str:
    """What Helm says."""
    with pytest.raises(importlib.import_module("helm_python").HelmError) as raised:
        texts(values)
    return str(raised.value).strip()


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ({"shardz": 3}, ["- at '': additional properties 'shardz' not allowed"]),
        ({"shards": 0}, ["- at '/shards': minimum: got 0, want 1"]),
        ({"shards": "3"}, ["- at '/shards': got string, want integer"]),
        ({"image": {"tagg": "1"}}, ["- at '/image': additional properties 'tagg' not allowed"]),
        (
            {"image": {"digest": "latest"}},
            ["- at '/image/digest': 'latest' does not match pattern '^(sha256:[0-9a-f]{64})?$'"],
        ),
        (
            {"log": {"level": "verbose"}},
            ["- at '/log/level': value must be one of 'debug', 'info', 'warning', 'error'"],
        ),
        (
            {"webConfig": {"scheme": "HTTPS"}},
            ["- at '/webConfig/scheme': value must be one of 'http', 'https'"],
        ),
        (
            {"extraArgs": ["web.max-requests=80"]},
            ["- at '/extraArgs/0': 'web.max-requests=80' does not match pattern '^--'"],
        ),
        (
            {"serviceMonitor": {"interval": "30 s"}},
            [
                (
                    "- at '/serviceMonitor/interval': '30 s' does not match pattern "
                    "'^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$'"
                )
            ],
        ),
        # what is written as is usual in other charts, and what YAML makes of words without quotes
        ({"replicaCount": 2}, ["- at '': additional properties 'replicaCount' not allowed"]),
        ({"existingSecret": ["a", "b"]}, ["- at '/existingSecret': got array, want string"]),
        ({"image": {"tag": 1.0}}, ["- at '/image/tag': got number, want string"]),
        (
            {"image": {"repository": "mine:1"}},
            [
                (
                    "- at '/image/repository': 'mine:1' does not match pattern "
                    "'^([^/:@]+(:[0-9]+)?/)?[^:@]+$'"
                )
            ],
        ),
        (
            {"resources": {"limit": {}}},
            ["- at '/resources': additional properties 'limit' not allowed"],
        ),
        (
            {"extraEnv": [{"name": "HTTP_RETRIES", "value": 1}]},
            ["- at '/extraEnv/0/value': got number, want string"],
        ),
        ({"podLabels": {"year": 2026}}, ["- at '/podLabels/year': got number, want string"]),
        (
            {"podAnnotations": {"prometheus.io/scrape": True}},
            ["- at '/podAnnotations/prometheus.io~1scrape': got boolean, want string"],
        ),
        ({"nodeSelector": {"gpu": True}}, ["- at '/nodeSelector/gpu': got boolean, want string"]),
        (
            {"nameOverride": "Rest_Exporter"},
            [
                (
                    "- at '/nameOverride': 'Rest_Exporter' does not match pattern "
                    "'^([a-z]([-a-z0-9]*[a-z0-9])?)?$'"
                )
            ],
        ),
        # null removes a default, and without it everybody may connect
        (
            {"networkPolicy": {"ingress": {"from": None}}},
            ["- at '/networkPolicy/ingress': missing property 'from'"],
        ),
        (
            {"networkPolicy": {"ingress": {"from": [{}]}}},
            ["- at '/networkPolicy/ingress/from/0': minProperties: got 0, want 1"],
        ),
        (
            {"networkPolicy": {"ingress": {"from": []}}},
            ["- at '/networkPolicy/ingress/from': minItems: got 0, want 1"],
        ),
        (
            {"networkPolicy": {"egress": {"servers": [{"cidr": "10.0.0.1", "port": 1}]}}},
            [
                (
                    "- at '/networkPolicy/egress/servers/0/cidr': '10.0.0.1' does not match "
                    "pattern '^([0-9]{1,3}[.]){3}[0-9]{1,3}/([0-9]|[12][0-9]|3[0-2])$"
                    "|^[0-9a-f.:]*:[0-9a-f.:]*/([0-9]|[1-9][0-9]|1[01][0-9]|12[0-8])$'"
                )
            ],
        ),
        (
            {"terminationGracePeriodSeconds": 5},
            ["- at '/terminationGracePeriodSeconds': minimum: got 5, want 6"],
        ),
        (
            {"config": {"cms": [{**SERVER, "intervall": "1m"}]}},
            ["- at '/config/cms/0': additional properties 'intervall' not allowed"],
        ),
        (
            {"config": {"cms": [{**SERVER, "targets": [{"ccId": 65536, "vdn": 1}]}]}},
            ["- at '/config/cms/0/targets/0/ccId': maximum: got 65,536, want 65,535"],
        ),
        (
            {"config": {"servers": []}},
            [
                "- at '/config': validation failed",
                "  - at '/config': missing property 'cms'",
                "  - at '/config': additional properties 'servers' not allowed",
            ],
        ),
    ],
    ids=str,
)
def test_the_schema_names_the_value(values: dict[str, Any], lines: list[str]) -> None:
    """Of the chart, and of the exporter's configuration in it."""
    first, second, *rest = refusal({**SERVE, **values}).splitlines()
    assert first.startswith("values don't meet the specifications of the schema(s)")
    assert second == "agent-rest-exporter:"
    assert sorted(rest) == sorted(lines)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {},
            (
                "there is no configuration: set config, or existingConfigMap to the name "
                "of a ConfigMap with the key config.yaml; demo.enabled=true shows "
                "metrics of a simulated call center"
            ),
        ),
        (
            {**SERVE, "existingConfigMap": "mine"},
            "config and existingConfigMap are both set: remove one of them",
        ),
        (
            {**DEMO, **SERVE},
            (
                "demo.enabled runs without a configuration: remove config and "
                "existingConfigMap, or set demo.enabled to false"
            ),
        ),
        ({**DEMO, "shards": 2}, "demo.enabled runs in one process: set shards to 1"),
        (
            {**DEMO, "webConfig": {"existingSecret": "web"}},
            "demo.enabled has no web configuration: remove webConfig.existingSecret",
        ),
        (
            {**SERVE, "webConfig": {"scheme": "https"}},
            (
                "webConfig.scheme is https, but webConfig.existingSecret is not set: "
                "name a Secret with the key web.yaml"
            ),
        ),
        (
            {**SERVE, "serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}},
            (
                "serviceMonitor and podMonitor are both enabled: every pod would be "
                "scraped twice; enable one of them"
            ),
        ),
        (
            {**SERVE, "networkPolicy": {"enabled": True}},
            (
                "networkPolicy.egress.servers is empty, so that no CC-CMS server could "
                "be reached: list each, such as {cidr: 10.22.26.181/32, port: 28443}, or the "
                "proxy in front of them"
            ),
        ),
        (
            {**SERVE, "extraArgs": ["--shard=0/3"]},
            "extraArgs contains --shard: set shards instead",
        ),
        (
            {**SERVE, "extraArgs": ["--log.level", "--debug"]},
            "extraArgs contains --log.level: set log.level instead",
        ),
        (
            {**SERVE, "extraEnv": [{"name": "AGENT_REST_EXPORTER_SHARD", "value": "0/3"}]},
            "extraEnv contains AGENT_REST_EXPORTER_SHARD: set shards instead",
        ),
        (
            {**SERVE, "extraEnv": [{"name": "AGENT_REST_EXPORTER_WEB_LISTEN_ADDRESS"}]},
            "extraEnv contains AGENT_REST_EXPORTER_WEB_LISTEN_ADDRESS: set containerPort instead",
        ),
        (
            {**SERVE, "podLabels": {"app.kubernetes.io/name": "rests"}},
            "podLabels contains app.kubernetes.io/name, by which the pods are found: remove it",
        ),
        (
            {"config": {"cms": [{**SERVER, "proxy_url": "http://me:canary@proxy:3128"}]}},
            (
                "config.cms[0].proxy_url contains a password, and a ConfigMap would show it: "
                "put the URL into the Secret of existingSecret, and its path into "
                "proxy_url_file"
            ),
        ),
        (
            {"config": {"cms": [{**SERVER, "headers": {"X-Api-Key": "canary"}}]}},
            (
                "config.cms[0].headers.X-Api-Key looks like a secret, and a ConfigMap would show "
                "it: write ${NAME}, with the variable from extraEnvFrom"
            ),
        ),
        (
            {"config": {"cms": [SERVER, {**SERVER, "auth": {"secret_key": "canary"}}]}},
            (
                "config.cms[1].auth.secret_key is a secret, and a ConfigMap would show "
                "it: put it into the Secret of existingSecret, and its path into "
                "secret_key_file"
            ),
        ),
        (
            {"config": {"cms": [{**SERVER, "auth": {"authorization": "Bearer canary"}}]}},
            (
                "config.cms[0].auth.authorization is a secret, and a ConfigMap would "
                "show it: put it into the Secret of existingSecret, and its path into "
                "authorization_file"
            ),
        ),
    ],
    ids=str,
)
def test_values_that_contradict_each_other(values: dict[str, Any], sentence: str) -> None:
    """The sentence says what to change, and never contains a secret."""
    said = refusal(values)
    assert (
        said
        == f"execution error at (agent-rest-exporter/templates/deployment.yaml:1:4): {sentence}"
    )
    assert "canary" not in said


def test_a_service_cannot_start_with_a_digit() -> None:
    """A release can, and then needs another name for its objects."""
    with pytest.raises(importlib.import_module("helm_python").HelmError) as raised:
        texts(DEMO, release="24x7")
    assert (
        str(raised.value)
        .strip()
        .endswith(
            "the release is called 24x7, but the name of a Service starts with a letter: "
            "set fullnameOverride"
        )
    )
    assert texts({**DEMO, "fullnameOverride": "rests"}, release="24x7")


@pytest.mark.parametrize(
    "server",
    [
        {"proxy_url": "http://proxy:3128"},
        {"proxy_url": "${PROXY}"},
        {"headers": {"X-Tenant": "abc", "X-Api-Key": "${KEY}"}},
        {"auth": {"authorization": "${TOKEN}"}},
    ],
    ids=str,
)
def test_what_is_not_a_secret_is_accepted(server: dict[str, Any]) -> None:
    """Or is one that comes from the environment."""
    assert texts({"config": {"cms": [{**SERVER, **server}]}})


def test_a_proxy_is_enough_for_the_network_policy() -> None:
    """The servers are behind it."""
    proxy = {"to": [{"ipBlock": {"cidr": "10.0.0.9/32"}}], "ports": [{"port": 3128}]}
    assert texts({**SERVE, "networkPolicy": {"enabled": True, "egress": {"extra": [proxy]}}})


def test_an_alert_to_leave_out_must_exist() -> None:
    """Otherwise one with a mistake in its name would stay, unnoticed."""
    rule = {"enabled": True, "disabled": ["AgentRestTooLongg"]}
    said = refusal({**SERVE, "prometheusRule": rule})
    assert (
        "prometheusRule.disabled: there is no alert AgentRestTooLongg; the alerts are "
        "AgentRestAllTargetsDown, AgentRestApprovalsWaiting, " in said
    )
