{{/* What values.schema.json cannot say: values that contradict each other. */}}

{{- define "agent-rest-exporter.checks" -}}
{{- $v := .Values -}}
{{- if $v.demo.enabled -}}
{{- if or $v.config $v.existingConfigMap -}}
{{- fail "demo.enabled runs without a configuration: remove config and existingConfigMap, or set demo.enabled to false" -}}
{{- end -}}
{{- if include "agent-rest-exporter.sharded" . -}}
{{- fail "demo.enabled runs in one process: set shards to 1" -}}
{{- end -}}
{{- if $v.webConfig.existingSecret -}}
{{- fail "demo.enabled has no web configuration: remove webConfig.existingSecret" -}}
{{- end -}}
{{- else if and $v.config $v.existingConfigMap -}}
{{- fail "config and existingConfigMap are both set: remove one of them" -}}
{{- else if not (or $v.config $v.existingConfigMap) -}}
{{- fail "there is no configuration: set config, or existingConfigMap to the name of a ConfigMap with the key config.yaml; demo.enabled=true shows metrics of a simulated call center" -}}
{{- end -}}
{{- range $index, $server := $v.config.cms -}}
{{- $place := printf "config.cms[%d]" $index -}}
{{- range $key := list "secret_key" "authorization" -}}
{{- $secret := get (default dict $server.auth) $key -}}
{{- if and $secret (not (regexMatch "^\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}$" $secret)) -}}
{{- fail (printf "%s.auth.%s is a secret, and a ConfigMap would show it: put it into the Secret of existingSecret, and its path into %s_file" $place $key $key) -}}
{{- end -}}
{{- end -}}
{{- if regexMatch "//[^/]*:[^/]*@" (default "" $server.proxy_url) -}}
{{- fail (printf "%s.proxy_url contains a password, and a ConfigMap would show it: put the URL into the Secret of existingSecret, and its path into proxy_url_file" $place) -}}
{{- end -}}
{{- range $name, $text := $server.headers -}}
{{- if and (regexMatch "(?i)authorization|cookie|key|password|secret|token" $name) (not (regexMatch "^\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}$" $text)) -}}
{{- fail (printf "%s.headers.%s looks like a secret, and a ConfigMap would show it: write ${NAME}, with the variable from extraEnvFrom" $place $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (eq $v.webConfig.scheme "https") (not $v.webConfig.existingSecret) -}}
{{- fail "webConfig.scheme is https, but webConfig.existingSecret is not set: name a Secret with the key web.yaml" -}}
{{- end -}}
{{- if and $v.serviceMonitor.enabled $v.podMonitor.enabled -}}
{{- fail "serviceMonitor and podMonitor are both enabled: every pod would be scraped twice; enable one of them" -}}
{{- end -}}
{{- if and $v.networkPolicy.enabled (not $v.networkPolicy.egress.servers) (not $v.networkPolicy.egress.extra) (not $v.demo.enabled) -}}
{{- fail "networkPolicy.egress.servers is empty, so that no CC-CMS server could be reached: list each, such as {cidr: 10.22.26.181/32, port: 28443}, or the proxy in front of them" -}}
{{- end -}}
{{- range $flag, $value := dict "--shard" "shards" "--config.file" "config" "--web.listen-address" "containerPort" "--web.config.file" "webConfig.existingSecret" "--log.level" "log.level" "--log.format" "log.format" -}}
{{- range $v.extraArgs -}}
{{- if or (eq . $flag) (hasPrefix (printf "%s=" $flag) .) -}}
{{- fail (printf "extraArgs contains %s: set %s instead" $flag $value) -}}
{{- end -}}
{{- end -}}
{{- $variable := printf "AGENT_REST_EXPORTER_%s" ($flag | trimPrefix "--" | upper | replace "." "_" | replace "-" "_") -}}
{{- range $v.extraEnv -}}
{{- if eq .name $variable -}}
{{- fail (printf "extraEnv contains %s: set %s instead" $variable $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name := list "commonLabels" "podLabels" -}}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" -}}
{{- if hasKey (get $v $name) $label -}}
{{- fail (printf "%s contains %s, by which the pods are found: remove it" $name $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not (regexMatch "^[a-z]" (include "agent-rest-exporter.fullname" .)) -}}
{{- fail (printf "the release is called %s, but the name of a Service starts with a letter: set fullnameOverride" .Release.Name) -}}
{{- end -}}
{{- end -}}
