"""Prometheus exporter for agents' rests in Huawei AICC/CEC call centers."""

__version__ = "0.1.0"
