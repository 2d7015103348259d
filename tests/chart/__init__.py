"""Tests of the Helm chart with Helm itself."""
