"""The documents, compared with the code."""
