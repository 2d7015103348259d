"""Every metric's name, type, help text and meaning, and the text in which they are exposed.

Names are promises to dashboards and alert rules.
"""
