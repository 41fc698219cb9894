{{/* The chart's name, for the label app.kubernetes.io/name. */}}
{{- define "k8s-vectordb-sync.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/*
The full name, from which all names are made. A StatefulSet's name may have 52 characters, for Kubernetes adds a hash of
eleven to it in a label. The name of a release may have dots, that of a Service may not.
*/}}
{{- define "k8s-vectordb-sync.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $full := printf "%s-%s" .Release.Name $name }}
{{- if .Values.fullnameOverride }}
{{- $full = .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- $full = .Release.Name }}
{{- end }}
{{- $full | replace "." "-" | trunc 52 | trimSuffix "-" }}
{{- end }}

{{/*
A name made of the full name and a suffix: {{ include "k8s-vectordb-sync.suffixed" (list . "headless") }}. Where it would
be longer than a DNS label may be, the full name is cut and told apart by a hash.
*/}}
{{- define "k8s-vectordb-sync.suffixed" -}}
{{- $full := include "k8s-vectordb-sync.fullname" (index . 0) }}
{{- $suffix := index . 1 }}
{{- $name := printf "%s-%s" $full $suffix }}
{{- if gt (len $name) 63 }}
{{- $keep := sub 63 (add 8 (len $suffix)) | int }}
{{- printf "%s-%s-%s" ($full | trunc $keep | trimSuffix "-") (sha256sum $full | trunc 6) $suffix }}
{{- else }}
{{- $name }}
{{- end }}
{{- end }}

{{- define "k8s-vectordb-sync.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "k8s-vectordb-sync.suffixed" (list . "controller-manager")) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "k8s-vectordb-sync.metricsServiceName" -}}
{{- include "k8s-vectordb-sync.suffixed" (list . "controller-manager-metrics-service") }}
{{- end }}

{{/* The labels by which Services and the like find the pods. They must never change: a StatefulSet's selector cannot. */}}
{{- define "k8s-vectordb-sync.selectorLabels" -}}
app.kubernetes.io/name: {{ include "k8s-vectordb-sync.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "k8s-vectordb-sync.labels" -}}
{{- $own := dict
      "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
      "app.kubernetes.io/version" .Chart.AppVersion
      "app.kubernetes.io/managed-by" .Release.Service
      "app.kubernetes.io/part-of" .Chart.Name }}
{{- $selector := include "k8s-vectordb-sync.selectorLabels" . | fromYaml }}
{{- mergeOverwrite dict .Values.commonLabels $own $selector | toYaml }}
{{- end }}

{{/* The pods' labels leave out the chart's version: a new version of the chart alone need not restart anything. */}}
{{- define "k8s-vectordb-sync.podLabels" -}}
{{- $selector := include "k8s-vectordb-sync.selectorLabels" . | fromYaml }}
{{- mergeOverwrite dict .Values.commonLabels .Values.podLabels $selector | toYaml }}
{{- end }}

{{- define "k8s-vectordb-sync.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* The port of an address such as :8082 or 127.0.0.1:8082. */}}
{{- define "k8s-vectordb-sync.port" -}}
{{- regexFind "[0-9]+$" . }}
{{- end }}

{{/* Not empty when metrics are served at all: the address 0 turns them off. */}}
{{- define "k8s-vectordb-sync.metricsOn" -}}
{{- if ne (toString .Values.config.metricsBindAddress) "0" }}true{{ end }}
{{- end }}

{{/* The Secret that holds the metrics certificate, or nothing where the controller signs its own. */}}
{{- define "k8s-vectordb-sync.metricsCertSecret" -}}
{{- if and .Values.metrics.certManager.enabled .Values.metrics.existingCertSecret }}
{{- fail "metrics.certManager.enabled and metrics.existingCertSecret exclude one another: choose one source of the metrics certificate" }}
{{- end }}
{{- if and (include "k8s-vectordb-sync.metricsOn" .) .Values.config.metricsSecure }}
{{- if .Values.metrics.certManager.enabled }}
{{- include "k8s-vectordb-sync.suffixed" (list . "metrics-cert") }}
{{- else }}
{{- .Values.metrics.existingCertSecret }}
{{- end }}
{{- end }}
{{- end }}

{{- define "k8s-vectordb-sync.metricsCertDir" -}}
{{- if include "k8s-vectordb-sync.metricsCertSecret" . }}
{{- default "/etc/k8s-vectordb-sync/metrics-cert" .Values.config.metricsCertDir }}
{{- else }}
{{- default "" .Values.config.metricsCertDir }}
{{- end }}
{{- end }}

{{/* The folder into which the receiver's token is mounted. */}}
{{- define "k8s-vectordb-sync.authTokenDir" -}}
/etc/k8s-vectordb-sync/auth
{{- end }}

{{/* The URL that changes are sent to. */}}
{{- define "k8s-vectordb-sync.endpoint" -}}
{{- $old := .Values.config.restEndpoint }}
{{- $new := .Values.config.instancesEndpoint }}
{{- if and $old $new (ne $old $new) }}
{{- fail (printf "config.restEndpoint is %s and config.instancesEndpoint is %s, but they are two names of one setting: set one of them" $old $new) }}
{{- end }}
{{- default "" (default $old $new) }}
{{- end }}

{{/* Seconds from SIGTERM to SIGKILL: always longer than the last flush may take. */}}
{{- define "k8s-vectordb-sync.gracePeriod" -}}
{{- $flush := div (add (int64 .Values.config.shutdownTimeoutMs) 999) 1000 }}
{{- $given := .Values.terminationGracePeriodSeconds }}
{{- if kindIs "invalid" $given }}
{{- add $flush 10 }}
{{- else if le (int64 $given) (int64 $flush) }}
{{- fail (printf "terminationGracePeriodSeconds is %d, but config.shutdownTimeoutMs lets the last flush take %d seconds: give it more than that, or leave it out" (int64 $given) (int64 $flush)) }}
{{- else }}
{{- int64 $given }}
{{- end }}
{{- end }}

{{/*
GOMEMLIMIT: goMemLimitPercent of the memory limit, in bytes; nothing without a limit. Kubernetes can hand a limit to a
container only whole (resourceFieldRef), and a soft limit as high as the hard one would come too late.
*/}}
{{- define "k8s-vectordb-sync.goMemLimit" -}}
{{- $limit := "" }}
{{- with .Values.resources.limits }}{{ $limit = toString (default "" .memory) }}{{ end }}
{{- $percent := int64 .Values.goMemLimitPercent }}
{{- if and $limit (gt $percent 0) }}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 }}
{{- if not (regexMatch "^[0-9]+(k|M|G|Ki|Mi|Gi)?$" $limit) }}
{{- fail (printf "resources.limits.memory is %q: write it as a whole number with k, M, G, Ki, Mi or Gi, or set goMemLimitPercent=0" $limit) }}
{{- end }}
{{- $number := regexFind "^[0-9]+" $limit | int64 }}
{{- div (mul $number (get $units (regexFind "[A-Za-z]*$" $limit)) $percent) 100 }}
{{- end }}
{{- end }}

{{/* A value as an environment variable spells it. Numbers of a values file are floating-point ones. */}}
{{- define "k8s-vectordb-sync.envValue" -}}
{{- if kindIs "slice" . }}
{{- join "," . }}
{{- else if kindIs "float64" . }}
{{- int64 . }}
{{- else }}
{{- toString . }}
{{- end }}
{{- end }}

{{/*
The environment of the controller. Everything under config becomes the variable of the same name, so that a new setting
needs a value and its schema only. What is null is left to the controller.
*/}}
{{- define "k8s-vectordb-sync.env" -}}
{{- $special := list "authTokenSecretRef" "authTokenFile" "metricsCertDir" "ringName" }}
{{- range $key, $value := .Values.config }}
{{- if not (or (has $key $special) (kindIs "invalid" $value)) }}
- name: {{ $key | snakecase | upper }}
  value: {{ include "k8s-vectordb-sync.envValue" $value | quote }}
{{- end }}
{{- end }}
{{- if .Values.resourceSyncConfig.enabled }}
- name: RESOURCE_SYNC_CONFIG
  value: "true"
{{- end }}
- name: STATEFUL_SET_NAME
  value: {{ include "k8s-vectordb-sync.fullname" . }}
- name: RING_NAME
  value: {{ default (include "k8s-vectordb-sync.fullname" .) .Values.config.ringName | quote }}
{{- if .Values.config.authTokenSecretRef.name }}
{{- if .Values.config.authTokenFile }}
{{- fail "config.authTokenFile and config.authTokenSecretRef exclude one another: set one of them" }}
{{- end }}
- name: AUTH_TOKEN_FILE
  value: {{ include "k8s-vectordb-sync.authTokenDir" . }}/token
{{- else if .Values.config.authTokenFile }}
- name: AUTH_TOKEN_FILE
  value: {{ .Values.config.authTokenFile | quote }}
{{- end }}
{{- with include "k8s-vectordb-sync.metricsCertDir" . }}
- name: METRICS_CERT_DIR
  value: {{ . | quote }}
{{- end }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_UID
  valueFrom:
    fieldRef:
      fieldPath: metadata.uid
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- with include "k8s-vectordb-sync.goMemLimit" . }}
- name: GOMEMLIMIT
  value: {{ . | quote }}
{{- end }}
{{- end }}

{{/*
The rules to watch with: all resources by default, exactly those of config.watchResourceTypes where it names some. A
pattern is name, name.group, name.version or name.version.group (the core group may be called core). A name alone is
granted in every group; a star in a name grants the whole group; a star for a group grants everything.
*/}}
{{- define "k8s-vectordb-sync.watchRules" -}}
{{- $types := .Values.config.watchResourceTypes }}
{{- if kindIs "string" $types }}
{{- $types = splitList "," $types }}
{{- end }}
{{- $wide := false }}
{{- $byGroup := dict }}
{{- range $types }}
{{- $pattern := . | trim | lower }}
{{- if $pattern }}
{{- $name := regexFind "^[^.]+" $pattern }}
{{- $group := "*" }}
{{- if contains "." $pattern }}
{{- $group = regexReplaceAll "^v[0-9]+((alpha|beta)[0-9]+)?(\\.|$)" (trimPrefix (printf "%s." $name) $pattern) "" }}
{{- if eq $group "core" }}{{ $group = "" }}{{ end }}
{{- end }}
{{- if contains "*" $name }}{{ $name = "*" }}{{ end }}
{{- if and (contains "*" $group) (or (contains "." $pattern) (eq $name "*")) }}
{{- $wide = true }}
{{- end }}
{{- $_ := set $byGroup $group (append (get $byGroup $group | default list) $name) }}
{{- end }}
{{- end }}
{{- if or $wide (not $byGroup) }}
- apiGroups: ["*"]
  resources: ["*"]
  verbs: [list, watch]
{{- else }}
{{- range $group, $resources := $byGroup }}
- apiGroups: [{{ $group | quote }}]
  resources: {{ $resources | uniq | sortAlpha | toJson }}
  verbs: [list, watch]
{{- end }}
# What comes into being and goes away is learned from these two.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [list, watch]
- apiGroups: [apiregistration.k8s.io]
  resources: [apiservices]
  verbs: [list, watch]
{{- end }}
{{- end }}

{{/* The port of a URL, by its scheme where it names none. */}}
{{- define "k8s-vectordb-sync.urlPort" -}}
{{- $url := urlParse . }}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" }}
{{- if $port }}{{ $port }}{{ else if eq $url.scheme "https" }}443{{ else }}80{{ end }}
{{- end }}

{{/* Reading the Secrets with the tokens. Each is listed and watched by its name, which is what resourceNames allow. */}}
{{- define "k8s-vectordb-sync.credentialRule" -}}
- apiGroups: [""]
  resources: [secrets]
  {{- with .Values.resourceSyncConfig.secrets.names }}
  resourceNames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  verbs: [list, watch]
{{- end }}

{{/*
Settings that are right by themselves and wrong together. The program refuses them when it starts, which would be a pod that
crashes in the middle of an upgrade.
*/}}
{{- define "k8s-vectordb-sync.checkTogether" -}}
{{- $c := .Values.config }}
{{- $duration := int64 (default 15000 $c.leaseDurationMs) }}
{{- $deadline := int64 (default 10000 $c.leaseRenewDeadlineMs) }}
{{- $interval := int64 (default 5000 $c.leaseRenewIntervalMs) }}
{{- $margin := div $duration 5 }}
{{- if gt (add $deadline $margin) $duration }}
{{- fail (printf "config.leaseRenewDeadlineMs is %d, too close to config.leaseDurationMs, %d: want at least %d (a fifth of config.leaseDurationMs) less" $deadline $duration $margin) }}
{{- end }}
{{- if gt (add $interval $margin) $deadline }}
{{- fail (printf "config.leaseRenewIntervalMs is %d, too close to config.leaseRenewDeadlineMs, %d: want at least %d (a fifth of config.leaseDurationMs) less" $interval $deadline $margin) }}
{{- end }}
{{- if not (kindIs "invalid" $c.debounceMaxWaitMs) }}
{{- $window := 10000 }}
{{- if not (kindIs "invalid" $c.debounceWindowMs) }}{{ $window = int64 $c.debounceWindowMs }}{{ end }}
{{- if lt (int64 $c.debounceMaxWaitMs) (int64 $window) }}
{{- fail (printf "config.debounceMaxWaitMs is %d, less than config.debounceWindowMs, %d" (int64 $c.debounceMaxWaitMs) (int64 $window)) }}
{{- end }}
{{- end }}
{{- $ports := dict }}
{{- range list "apiBindAddress" "metricsBindAddress" "healthProbeBindAddress" }}
{{- $address := toString (get $c .) }}
{{- if ne $address "0" }}
{{- $port := include "k8s-vectordb-sync.port" $address }}
{{- if hasKey $ports $port }}
{{- fail (printf "config.%s and config.%s are at one port, %s: give each a port of its own" (get $ports $port) . $port) }}
{{- end }}
{{- $_ := set $ports $port . }}
{{- end }}
{{- end }}
{{- end }}
