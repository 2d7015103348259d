"""What people and Prometheus ask the exporter over HTTP."""
