{{/* The rule that knows how many shards there are. It counts this release's own pods. */}}
{{- define "agent-rest-exporter.shardRules" -}}
{{- $rule := .Values.prometheusRule -}}
{{- $name := include "agent-rest-exporter.fullname" . -}}
{{- $namespace := include "agent-rest-exporter.namespace" . -}}
name: {{ printf "%s-shards" $name }}
rules:
  - alert: AgentRestShardMissing
    expr: >-
      (count(up{job="agent-rest-exporter",namespace="{{ $namespace }}",pod=~"{{ $name }}-[0-9]+"} == 1)
      or vector(0)) < {{ .Values.shards }}
    for: 5m
    labels:
      {{- toYaml (merge (dict) $rule.alertLabels (dict "severity" "critical" "team" "platform")) | nindent 6 }}
    annotations:
      summary: A shard of agent-rest-exporter is missing, and its targets are not polled.
      description: >-
        {{ `{{ $value }}` }} of {{ .Values.shards }} shards of {{ $name }} in namespace {{ $namespace }}
        have been scraped successfully for 5m.
      runbook_url: {{ printf "%s/AgentRestShardMissing.md" (trimSuffix "/" (default "https://github.com/agent-rest-exporter/agent-rest-exporter/blob/main/docs/runbooks" $rule.runbookBaseUrl)) }}
{{- end -}}
