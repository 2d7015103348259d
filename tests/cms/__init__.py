"""Tests of exporter/cms."""
