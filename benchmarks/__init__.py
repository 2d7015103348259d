"""Measures speed and memory against named baselines: `make bench`, no part of the tests.

Every figure is a ratio or a bound, taken within one run on one machine: the exporter and what it
is compared with take turns, each in a fresh process, and the CPU that counts is the process's own.
So other work on the machine costs accuracy, and not the comparison.
"""
