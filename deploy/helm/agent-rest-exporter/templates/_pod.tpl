{{/* The template of the pods, of the Deployment and of the StatefulSet. */}}

{{- define "agent-rest-exporter.pod" -}}
metadata:
  labels:
    {{- include "agent-rest-exporter.labels" (list . .Values.podLabels) | nindent 4 }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "agent-rest-exporter.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false # Service variables have the prefix of the flags' own.
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.dnsPolicy }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
  {{- else if include "agent-rest-exporter.sharded" . }}
  topologySpreadConstraints:
    - topologyKey: kubernetes.io/hostname
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "agent-rest-exporter.selectorLabels" . | nindent 10 }}
  {{- end }}
  {{- with .Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: exporter
      image: {{ include "agent-rest-exporter.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        {{- include "agent-rest-exporter.args" . | nindent 8 }}
      env:
        - name: POD_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .Values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: http
          containerPort: {{ .Values.containerPort }}
      {{- range $name := list "startupProbe" "livenessProbe" "readinessProbe" }}
      {{- with get $.Values $name }}
      {{ $name }}:
        {{- include "agent-rest-exporter.probe" (list $ .) | nindent 8 }}
      {{- end }}
      {{- end }}
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with include "agent-rest-exporter.mounts" . | trim }}
      volumeMounts:
        {{- . | nindent 8 }}
      {{- end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with include "agent-rest-exporter.volumes" . | trim }}
  volumes:
    {{- . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "agent-rest-exporter.args" -}}
{{- if .Values.demo.enabled -}}
- demo
{{- else -}}
- serve
- --config.file=/etc/agent-rest-exporter/config.yaml
{{- end }}
- --web.listen-address=:{{ .Values.containerPort }}
{{- with .Values.webConfig.existingSecret }}
- --web.config.file=/etc/agent-rest-exporter-web/web.yaml
{{- end }}
{{- if include "agent-rest-exporter.sharded" . }}
- --shard=auto/{{ .Values.shards }}
{{- end }}
- --log.level={{ .Values.log.level }}
- --log.format={{ .Values.log.format }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A probe with the scheme of the pages, unless it has one. If the user chose another way to probe,
     that of the default goes: Helm has merged both. Takes the context and the probe. */}}
{{- define "agent-rest-exporter.probe" -}}
{{- $values := (index . 0).Values -}}
{{- $probe := deepCopy (index . 1) -}}
{{- if or $probe.tcpSocket $probe.exec $probe.grpc -}}
{{- $probe = omit $probe "httpGet" -}}
{{- else if and $probe.httpGet (eq $values.webConfig.scheme "https") -}}
{{- $_ := set $probe "httpGet" (merge $probe.httpGet (dict "scheme" "HTTPS")) -}}
{{- end -}}
{{- toYaml $probe -}}
{{- end -}}

{{- define "agent-rest-exporter.mounts" -}}
{{- if not .Values.demo.enabled }}
- name: config
  mountPath: /etc/agent-rest-exporter
  readOnly: true
{{- end }}
{{- if .Values.existingSecret }}
- name: secrets
  mountPath: /run/secrets/agent-rest-exporter
  readOnly: true
{{- end }}
{{- if .Values.webConfig.existingSecret }}
- name: web-config
  mountPath: /etc/agent-rest-exporter-web
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The pod's group may read the secrets. */}}
{{- define "agent-rest-exporter.volumes" -}}
{{- if not .Values.demo.enabled }}
- name: config
  configMap:
    name: {{ include "agent-rest-exporter.configMapName" . }}
{{- end }}
{{- with .Values.existingSecret }}
- name: secrets
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .Values.webConfig.existingSecret }}
- name: web-config
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
