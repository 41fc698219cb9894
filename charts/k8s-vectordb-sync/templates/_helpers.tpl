{{/*
Not empty unless a parent chart, or somebody by hand, has switched the whole chart off. Every template asks this first, so that
values which were carried over from another chart are refused by a sentence, before anything trips over them.
*/}}
{{- define "k8s-vectordb-sync.enabled" -}}
{{- $repository := toString (.Values.image).repository }}
{{- if regexMatch "(^|/)wiggitywhitney/k8s-vectordb-sync$" $repository }}
{{- fail (printf "image.repository is %s, which is the image of k8s-vectordb-sync 0.1 and does not understand this chart: leave image.repository out (helm upgrade --reset-values), and see docs/migrating.md" $repository) }}
{{- end }}
{{- if not (hasKey .Values "receiver") }}
{{- fail "the values are not those of this chart: helm upgrade --reuse-values has carried over another one's; use --reset-then-reuse-values or --reset-values" }}
{{- end }}
{{- if ne (toString .Values.enabled) "false" }}true{{ end }}
{{- end }}

{{/* The chart's name, for the label app.kubernetes.io/name. */}}
{{- define "k8s-vectordb-sync.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimAll "-." }}
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

{{/*
What stands under metadata: {{ include "k8s-vectordb-sync.meta" (dict "of" . "name" "x") }}. Further keys: cluster (it is
in no namespace), namespace (another than the release's), labels, annotations, component, part (it is not the
controller's, and is not to be selected as if it were).
*/}}
{{- define "k8s-vectordb-sync.meta" -}}
{{- $of := .of }}
{{- $labels := mergeOverwrite (deepCopy (default dict .labels)) (include "k8s-vectordb-sync.labels" $of | fromYaml) }}
{{- if .part }}
{{- $labels = mergeOverwrite $labels (include "k8s-vectordb-sync.partLabels" (list $of .part) | fromYaml) }}
{{- end }}
{{- with .component }}{{ $_ := set $labels "app.kubernetes.io/component" . }}{{ end -}}
name: {{ .name }}
{{- if not .cluster }}
namespace: {{ default $of.Release.Namespace .namespace }}
{{- end }}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- with mergeOverwrite (deepCopy $of.Values.commonAnnotations) (default dict .annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The labels by which the pods of another part are found, which no selector of the controller's matches. */}}
{{- define "k8s-vectordb-sync.partLabels" -}}
{{- $of := index . 0 }}
{{- $part := index . 1 -}}
app.kubernetes.io/name: {{ printf "%s-%s" (include "k8s-vectordb-sync.name" $of | trunc 50 | trimAll "-.") $part }}
app.kubernetes.io/instance: {{ $of.Release.Name }}
app.kubernetes.io/component: {{ $part }}
{{- end }}

{{/* The pods' labels leave out the chart's version: a new version of the chart alone need not restart anything. */}}
{{- define "k8s-vectordb-sync.podLabels" -}}
{{- $selector := include "k8s-vectordb-sync.selectorLabels" . | fromYaml }}
{{- mergeOverwrite dict .Values.commonLabels .Values.podLabels $selector | toYaml }}
{{- end }}

{{/*
An image: {{ include "k8s-vectordb-sync.image" (list . .Values.image) }}. global.imageRegistry takes the place of its
registry: of what stands before the first slash, where that can be the name of a host.
*/}}
{{- define "k8s-vectordb-sync.image" -}}
{{- $of := index . 0 }}
{{- $image := index . 1 }}
{{- $repository := $image.repository }}
{{- with ($of.Values.global).imageRegistry }}
{{- $first := regexFind "^[^/]+/" $repository }}
{{- if or (contains "." $first) (contains ":" $first) (eq $first "localhost/") }}
{{- $repository = trimPrefix $first $repository }}
{{- end }}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository }}
{{- end }}
{{- if $image.digest }}
{{- printf "%s@%s" $repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (default $of.Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{/* The Secrets to pull images with, the parent chart's first. Each is text, or has a name. */}}
{{- define "k8s-vectordb-sync.imagePullSecrets" -}}
{{- $names := list }}
{{- range concat (default list (.Values.global).imagePullSecrets) (default list .Values.imagePullSecrets) }}
{{- if kindIs "string" . }}{{ $names = append $names . }}{{ else }}{{ $names = append $names .name }}{{ end }}
{{- end }}
{{- range $names | uniq }}
- name: {{ . }}
{{- end }}
{{- end }}

{{/*
The security context of a pod with this volume: (list . .Values.persistence). A volume of its own wants a group that may
write it, which OpenShift chooses by itself and lets nobody else choose.
*/}}
{{- define "k8s-vectordb-sync.podSecurityContext" -}}
{{- $of := index . 0 }}
{{- $persistence := index . 1 }}
{{- $context := deepCopy $of.Values.podSecurityContext }}
{{- $openShift := $of.Capabilities.APIVersions.Has "security.openshift.io/v1" }}
{{- if and $persistence.enabled $persistence.fsGroup (not $openShift) (not (hasKey $context "fsGroup")) }}
{{- $_ := set $context "fsGroup" (int64 $persistence.fsGroup) }}
{{- $_ := set $context "fsGroupChangePolicy" "OnRootMismatch" }}
{{- end }}
{{- toYaml $context }}
{{- end }}

{{/* The port of an address such as :8082 or 127.0.0.1:8082. */}}
{{- define "k8s-vectordb-sync.port" -}}
{{- regexFind "[0-9]+$" . }}
{{- end }}

{{/* The addresses of the servers. Empty text is the same as nothing, here as everywhere. */}}
{{- define "k8s-vectordb-sync.apiAddress" -}}
{{- default ":8082" .Values.config.apiBindAddress }}
{{- end }}

{{- define "k8s-vectordb-sync.probeAddress" -}}
{{- default (default ":8081" .Values.config.healthProbeBindAddress) .Values.healthProbeBindAddress }}
{{- end }}

{{/*
The address of the metrics; 0 turns them off. Who reads them over HTTPS is asked of the API server, which takes permissions
in the whole cluster: where only some namespaces' are granted there is nobody to ask.
*/}}
{{- define "k8s-vectordb-sync.metricsAddress" -}}
{{- $given := .Values.config.metricsBindAddress }}
{{- if and .Values.rbac.namespaced .Values.config.metricsSecure -}}
0
{{- else if or (kindIs "invalid" $given) (eq (toString $given) "") -}}
:8443
{{- else -}}
{{ $given }}
{{- end }}
{{- end }}

{{/* Not empty when metrics are served at all. */}}
{{- define "k8s-vectordb-sync.metricsOn" -}}
{{- if ne (include "k8s-vectordb-sync.metricsAddress" .) "0" }}true{{ end }}
{{- end }}

{{/* The port of the API's Service: service.apiPort is its name in the chart of k8s-vectordb-sync 0.1. */}}
{{- define "k8s-vectordb-sync.servicePort" -}}
{{- default .Values.service.port .Values.service.apiPort }}
{{- end }}

{{/* What every Service has: the families of its addresses. */}}
{{- define "k8s-vectordb-sync.ipFamilies" -}}
{{- with .Values.service.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.service.ipFamilies }}
ipFamilies: {{ toJson . }}
{{- end }}
{{- end }}

{{/* A list that may be given as a list or as text with commas, as JSON. */}}
{{- define "k8s-vectordb-sync.list" -}}
{{- $given := . }}
{{- if not $given }}{{ $given = list }}{{ end }}
{{- if kindIs "string" $given }}{{ $given = splitList "," $given }}{{ end }}
{{- $entries := list }}
{{- range $given }}
{{- $entry := trim (toString .) }}
{{- if $entry }}{{ $entries = append $entries $entry }}{{ end }}
{{- end }}
{{- $entries | uniq | toJson }}
{{- end }}

{{/* The account whose token the ServiceMonitor sends, and the Secret that holds it. */}}
{{- define "k8s-vectordb-sync.scraper" -}}
{{- $m := .Values.metrics.serviceMonitor }}
{{- if and $m.enabled .Values.config.metricsSecure (not $m.authorization.secretName) }}
{{- include "k8s-vectordb-sync.suffixed" (list . "metrics-scraper") }}
{{- end }}
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

{{/* The URL that changes are sent to: that of the receiver beside the controller, where there is one. */}}
{{- define "k8s-vectordb-sync.endpoint" -}}
{{- $old := .Values.config.restEndpoint }}
{{- $new := .Values.config.instancesEndpoint }}
{{- if and $old $new (ne $old $new) }}
{{- fail (printf "config.restEndpoint is %s and config.instancesEndpoint is %s, but they are two names of one setting: set one of them" $old $new) }}
{{- end }}
{{- $given := default $old $new }}
{{- if .Values.receiver.enabled }}
{{- $own := include "k8s-vectordb-sync.receiverEndpoint" . }}
{{- if and $given (ne $given $own) }}
{{- fail (printf "config.restEndpoint is %s, and receiver.enabled has the controller send to the receiver beside it, %s: set one of them" $given $own) }}
{{- end }}
{{- $given = $own }}
{{- end }}
{{- default "" $given }}
{{- end }}

{{- define "k8s-vectordb-sync.receiverEndpoint" -}}
{{- $path := ternary "resources" "instances" (eq (default "" .Values.config.endpointFormat) "dot-ai") }}
{{- printf "http://%s.%s.svc:%d/api/v1/%s/sync" (include "k8s-vectordb-sync.suffixed" (list . "receiver")) .Release.Namespace (int .Values.receiver.service.port) $path }}
{{- end }}

{{/* Seconds from SIGTERM to SIGKILL: always longer than the last flush may take. */}}
{{- define "k8s-vectordb-sync.gracePeriod" -}}
{{- $timeout := .Values.config.shutdownTimeoutMs }}
{{- if has (toString $timeout) (list "" "<nil>") }}{{ $timeout = 25000 }}{{ end }}
{{- $flush := div (add (int64 $timeout) 999) 1000 }}
{{- $given := .Values.terminationGracePeriodSeconds }}
{{- if has (toString $given) (list "" "<nil>") }}
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
{{- else if kindIs "map" . }}
{{- $pairs := list }}
{{- range $key, $value := . }}{{ $pairs = append $pairs (printf "%s=%s" $key (toString $value)) }}{{ end }}
{{- join "," $pairs }}
{{- else if kindIs "float64" . }}
{{- int64 . }}
{{- else }}
{{- toString . }}
{{- end }}
{{- end }}

{{/*
The environment of the controller. Everything under config becomes the variable of the same name, so that a new setting
needs a value and its schema only. What is null is left to the controller, and so is empty text, but for lists: an empty
list is not the same as none given.
*/}}
{{- define "k8s-vectordb-sync.env" -}}
{{- $special := list "endpointSecretRef" "authTokenSecretRef" "authTokenFile" "metricsCertDir" "ringName" }}
{{- $config := deepCopy .Values.config }}
{{- if .Values.receiver.enabled }}
{{- $_ := unset $config "instancesEndpoint" }}
{{- $_ := set $config "restEndpoint" (include "k8s-vectordb-sync.endpoint" .) }}
{{- end }}
{{- $_ := set $config "apiBindAddress" (include "k8s-vectordb-sync.apiAddress" .) }}
{{- $_ := set $config "healthProbeBindAddress" (include "k8s-vectordb-sync.probeAddress" .) }}
{{- if not $config.stateDir }}{{ $_ := set $config "stateDir" "/var/lib/k8s-vectordb-sync" }}{{ end }}
{{- $_ := set $config "metricsBindAddress" (include "k8s-vectordb-sync.metricsAddress" .) }}
{{- if eq .Values.rbac.preset "no-secrets" }}
{{- $_ := set $config "excludeResourceTypes" (append (include "k8s-vectordb-sync.list" $config.excludeResourceTypes | fromJsonArray) "secrets.core") }}
{{- end }}
{{- range $key, $value := $config }}
{{- $unset := or (kindIs "invalid" $value) (and (kindIs "map" $value) (not $value)) (and (eq (toString $value) "") (not (regexMatch "(Types|Namespaces|Include|Exclude)$" $key))) }}
{{- if not (or $unset (has $key $special)) }}
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
{{- with .Values.config.endpointSecretRef }}
{{- if .name }}
{{- range $key, $variable := dict "ca" "ENDPOINT_CA_FILE" "clientCert" "ENDPOINT_CLIENT_CERT_FILE" "clientKey" "ENDPOINT_CLIENT_KEY_FILE" "headers" "ENDPOINT_HEADERS_FILE" }}
{{- if get $.Values.config.endpointSecretRef $key }}
- name: {{ $variable }}
  value: /etc/k8s-vectordb-sync/endpoint/{{ $key }}
{{- end }}
{{- end }}
{{- end }}
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
The rules to watch with: rbac.rules where there are any; else those of rbac.preset; and always rbac.extraRules. Helm's
argument is (list . "cluster") or (list . "namespace").
*/}}
{{- define "k8s-vectordb-sync.watchRules" -}}
{{- $of := index . 0 }}
{{- $typed := include "k8s-vectordb-sync.list" $of.Values.config.watchResourceTypes | fromJsonArray }}
{{- $rules := "" }}
{{- if $of.Values.rbac.rules }}
{{- $rules = toYaml $of.Values.rbac.rules }}
{{- else if and (eq $of.Values.rbac.preset "no-secrets") (not $typed) }}
{{- $rules = include "k8s-vectordb-sync.noSecretsRules" $of }}
{{- else }}
{{- $rules = include "k8s-vectordb-sync.typeRules" $of }}
{{- end }}
{{- trim $rules }}
{{- if and (eq (index . 1) "cluster") (not (contains "- apiGroups: [\"*\"]\n  resources: [\"*\"]" $rules)) }}
# What comes into being and goes away is learned from these two.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [list, watch]
- apiGroups: [apiregistration.k8s.io]
  resources: [apiservices]
  verbs: [list, watch]
{{- end }}
{{- with $of.Values.rbac.extraRules }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
Everything that Kubernetes itself has, but for Secrets. Roles cannot subtract, so it is spelled out; what is added to the
cluster is not in it, for nobody knows what else holds secrets, and is granted by rbac.extraRules.
*/}}
{{- define "k8s-vectordb-sync.noSecretsRules" -}}
- apiGroups: [""]
  resources:
    - configmaps
    - endpoints
    - events
    - limitranges
    - namespaces
    - nodes
    - persistentvolumeclaims
    - persistentvolumes
    - pods
    - podtemplates
    - replicationcontrollers
    - resourcequotas
    - serviceaccounts
    - services
  verbs: [list, watch]
- apiGroups:
    - admissionregistration.k8s.io
    - apps
    - autoscaling
    - batch
    - certificates.k8s.io
    - coordination.k8s.io
    - discovery.k8s.io
    - events.k8s.io
    - flowcontrol.apiserver.k8s.io
    - internal.apiserver.k8s.io
    - metrics.k8s.io
    - networking.k8s.io
    - node.k8s.io
    - policy
    - rbac.authorization.k8s.io
    - resource.k8s.io
    - scheduling.k8s.io
    - storage.k8s.io
    - storagemigration.k8s.io
  resources: ["*"]
  verbs: [list, watch]
{{- end }}

{{/*
The rules of config.watchResourceTypes: all resources by default, exactly those of config.watchResourceTypes where it names some. A
pattern is name, name.group, name.version or name.version.group (the core group may be called core). A name alone is
granted in every group; a star in a name grants the whole group; a star for a group grants everything.
*/}}
{{- define "k8s-vectordb-sync.typeRules" -}}
{{- $types := .Values.config.watchResourceTypes }}
{{- if kindIs "string" $types }}
{{- $types = splitList "," $types }}
{{- end }}
{{- include "k8s-vectordb-sync.checkNames" (default list $types) }}
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
{{- if eq .Values.rbac.preset "no-secrets" }}
{{- $core := concat (default list (get $byGroup "")) (default list (get $byGroup "*")) }}
{{- if or $wide (has "secrets" $core) (has "*" (default list (get $byGroup ""))) }}
{{- fail "config.watchResourceTypes takes in Secrets, which rbac.preset=no-secrets leaves out: name other types, or set rbac.preset=all" }}
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
{{- if .Values.rbac.namespaced }}
{{- if not (include "k8s-vectordb-sync.list" $c.watchNamespaces | fromJsonArray) }}
{{- fail "rbac.namespaced grants what is watched namespace by namespace: name them in config.watchNamespaces" }}
{{- end }}
{{- if $c.apiAuth }}
{{- fail "config.apiAuth asks the API server who a caller is, which takes permissions in the whole cluster: it cannot go with rbac.namespaced" }}
{{- end }}
{{- if $c.debugEndpoints }}
{{- fail "config.debugEndpoints asks the API server who a caller is, which takes permissions in the whole cluster: it cannot go with rbac.namespaced" }}
{{- end }}
{{- if .Values.resourceSyncConfig.enabled }}
{{- fail "resourceSyncConfig.enabled reads objects of the whole cluster: it cannot go with rbac.namespaced" }}
{{- end }}
{{- end }}
{{- if and $c.debugEndpoints (not (include "k8s-vectordb-sync.metricsOn" .)) }}
{{- fail "config.debugEndpoints are served beside the metrics: config.metricsBindAddress is 0, which turns them off" }}
{{- end }}
{{- if and (eq (default "" .Values.dnsPolicy) "None") (not .Values.dnsConfig.nameservers) }}
{{- fail "dnsPolicy is None, with which Kubernetes gives the pods no servers: name some in dnsConfig.nameservers" }}
{{- end }}
{{- if and (eq (default "" .Values.service.ipFamilyPolicy) "SingleStack") (gt (len .Values.service.ipFamilies) 1) }}
{{- fail "service.ipFamilyPolicy is SingleStack, but service.ipFamilies names two: leave one" }}
{{- end }}
{{- if and .Values.receiver.enabled (eq (default "" $c.endpointFormat) "dot-ai") (not $c.authTokenSecretRef.name) }}
{{- fail "receiver.enabled with config.endpointFormat=dot-ai needs a token for the two of them: put one into a Secret and name it as config.authTokenSecretRef.name" }}
{{- end }}
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
{{- if not (has (toString $c.debounceMaxWaitMs) (list "" "<nil>")) }}
{{- $window := 10000 }}
{{- if not (has (toString $c.debounceWindowMs) (list "" "<nil>")) }}{{ $window = int64 $c.debounceWindowMs }}{{ end }}
{{- if lt (int64 $c.debounceMaxWaitMs) (int64 $window) }}
{{- fail (printf "config.debounceMaxWaitMs is %d, less than config.debounceWindowMs, %d" (int64 $c.debounceMaxWaitMs) (int64 $window)) }}
{{- end }}
{{- end }}
{{- $ports := dict }}
{{- $addresses := dict "apiBindAddress" (include "k8s-vectordb-sync.apiAddress" .) "metricsBindAddress" (include "k8s-vectordb-sync.metricsAddress" .) "healthProbeBindAddress" (include "k8s-vectordb-sync.probeAddress" .) }}
{{- range list "apiBindAddress" "metricsBindAddress" "healthProbeBindAddress" }}
{{- $address := get $addresses . }}
{{- if ne $address "0" }}
{{- $port := include "k8s-vectordb-sync.port" $address }}
{{- if hasKey $ports $port }}
{{- fail (printf "config.%s and config.%s are at one port, %s: give each a port of its own" (get $ports $port) . $port) }}
{{- end }}
{{- $_ := set $ports $port . }}
{{- end }}
{{- end }}
{{- end }}
