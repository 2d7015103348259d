"""Tests of exporter/webconfig."""
