{{/* Names and labels of the objects. */}}

{{- define "agent-rest-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 52 characters: a StatefulSet's pods get a number and a hash of their own behind it. */}}
{{- define "agent-rest-exporter.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "agent-rest-exporter.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "agent-rest-exporter.selectorLabels" -}}
{{- dict "app.kubernetes.io/name" (include "agent-rest-exporter.name" .) "app.kubernetes.io/instance" .Release.Name | toYaml -}}
{{- end -}}

{{/* Labels that select pods, then those of an object, then commonLabels: no key twice. Takes the
     context and the labels of the object. */}}
{{- define "agent-rest-exporter.labels" -}}
{{- $root := index . 0 -}}
{{- merge (include "agent-rest-exporter.selectorLabels" $root | fromYaml) (index . 1) $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* Metadata of an object. Takes the context and the values of the object, of which it uses name,
     namespace, labels and annotations. toYaml quotes what would be a number. */}}
{{- define "agent-rest-exporter.metadata" -}}
{{- $root := index . 0 -}}
{{- $own := index . 1 -}}
{{- $chart := $root.Chart -}}
{{- $byHelm := dict "helm.sh/chart" (printf "%s-%s" $chart.Name $chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") "app.kubernetes.io/version" $chart.AppVersion "app.kubernetes.io/managed-by" $root.Release.Service -}}
name: {{ default (include "agent-rest-exporter.fullname" $root) $own.name | toYaml }}
namespace: {{ default (include "agent-rest-exporter.namespace" $root) $own.namespace | toYaml }}
labels:
  {{- include "agent-rest-exporter.labels" (list $root (merge $byHelm (default dict $own.labels))) | nindent 2 }}
{{- with $own.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "agent-rest-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "agent-rest-exporter.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "agent-rest-exporter.configMapName" -}}
{{- default (include "agent-rest-exporter.fullname" .) .Values.existingConfigMap -}}
{{- end -}}

{{/* One Service for one process, and another for shards: Kubernetes cannot make one headless later. */}}
{{- define "agent-rest-exporter.serviceName" -}}
{{- include "agent-rest-exporter.fullname" . -}}
{{- if include "agent-rest-exporter.sharded" . }}-shards{{ end -}}
{{- end -}}

{{- define "agent-rest-exporter.image" -}}
{{- $image := .Values.image -}}
{{- $name := $image.repository -}}
{{- with $image.registry }}{{ $name = printf "%s/%s" . $name }}{{ end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* "true" if the pods are a StatefulSet. */}}
{{- define "agent-rest-exporter.sharded" -}}
{{- if gt (int .Values.shards) 1 }}true{{ end -}}
{{- end -}}
