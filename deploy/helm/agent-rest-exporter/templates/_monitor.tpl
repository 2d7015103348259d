{{/* What a ServiceMonitor and a PodMonitor have in common: how to scrape a pod. Takes the context and
     the values of the monitor. */}}

{{- define "agent-rest-exporter.scrape" -}}
{{- $root := index . 0 -}}
{{- $monitor := index . 1 -}}
port: http
interval: {{ $monitor.interval }}
scrapeTimeout: {{ $monitor.scrapeTimeout }}
scheme: {{ $root.Values.webConfig.scheme }}
{{- with $monitor.params }}
params:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $monitor.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $monitor.basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
relabelings:
  # AgentRestExporterDown and the dashboards look for this job.
  - targetLabel: job
    replacement: agent-rest-exporter
  # A restarted pod does not keep its address: with a name that it keeps, its series continue.
  {{- if include "agent-rest-exporter.sharded" $root }}
  - sourceLabels: [__meta_kubernetes_pod_name]
    targetLabel: instance
  {{- else }}
  - targetLabel: instance
    replacement: {{ include "agent-rest-exporter.fullname" $root }}
  {{- end }}
  {{- with $monitor.relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
