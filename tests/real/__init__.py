"""Tests with real programs that run beside the exporter: Prometheus, Alertmanager, Chromium."""
