"""Tests of agent-rest-exporter."""
