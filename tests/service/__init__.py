"""Tests of exporter/service."""
