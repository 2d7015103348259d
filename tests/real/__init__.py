"""Tests against real peers: Prometheus, Alertmanager, Chromium."""
