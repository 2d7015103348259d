"""The configuration: a YAML file and the files that it names, as servers and targets."""

from exporter.config.credentials import SecretError, SecretFile
from exporter.config.files import Seen
from exporter.config.in_force import in_force
from exporter.config.load import Config, load
from exporter.config.problems import ConfigError, Problem

__all__ = [
    "Config",
    "ConfigError",
    "Problem",
    "SecretError",
    "SecretFile",
    "Seen",
    "in_force",
    "load",
]
