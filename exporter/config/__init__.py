"""The configuration: one YAML file and what it names, as frozen settings or as clear problems."""

from exporter.config.load import load
from exporter.config.problems import ConfigError, Problem
from exporter.config.secrets import SecretError, SecretSource
from exporter.config.settings import (
    Config,
    ServerConfig,
    SignedAuth,
    StaticAuth,
    TargetConfig,
    TlsConfig,
)
from exporter.config.sources import Sources
from exporter.durations import format_duration, parse_duration

__all__ = [
    "Config",
    "ConfigError",
    "Problem",
    "SecretError",
    "SecretSource",
    "ServerConfig",
    "SignedAuth",
    "Sources",
    "StaticAuth",
    "TargetConfig",
    "TlsConfig",
    "format_duration",
    "load",
    "parse_duration",
]
