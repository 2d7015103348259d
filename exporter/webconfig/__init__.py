"""`--web.config.file`: TLS, passwords and headers of the exporter's own pages.

The format is that of Prometheus' exporter-toolkit:
https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""
