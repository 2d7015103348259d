"""Tests of exporter/polling."""
