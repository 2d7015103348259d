"""YAML text to plain data, and back from a value to its line and column."""
