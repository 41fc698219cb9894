{{/*
What Kubernetes' own types are called beside their plurals: short names and kinds. The controller asks the API server and takes them; a
role, which a chart renders without asking, needs the plural.
*/}}
{{- define "k8s-vectordb-sync.otherNames" -}}
certificatesigningrequests: [csr, certificatesigningrequest]
clusterrolebindings: [clusterrolebinding]
clusterroles: [clusterrole]
configmaps: [cm, configmap]
controllerrevisions: [controllerrevision]
cronjobs: [cj, cronjob]
csidrivers: [csidriver]
customresourcedefinitions: [crd, crds, customresourcedefinition]
daemonsets: [ds, daemonset]
deployments: [deploy, deployment]
endpointslices: [endpointslice]
endpoints: [ep]
events: [ev, event]
horizontalpodautoscalers: [hpa, horizontalpodautoscaler]
ingressclasses: [ingressclass]
ingresses: [ing, ingress]
ipaddresses: [ip, ipaddress]
jobs: [job]
leases: [lease]
limitranges: [limits, limitrange]
mutatingwebhookconfigurations: [mutatingwebhookconfiguration]
namespaces: [ns, namespace]
networkpolicies: [netpol, networkpolicy]
nodes: ["no", node]
persistentvolumeclaims: [pvc, persistentvolumeclaim]
persistentvolumes: [pv, persistentvolume]
poddisruptionbudgets: [pdb, poddisruptionbudget]
pods: [po, pod]
podtemplates: [podtemplate]
priorityclasses: [pc, priorityclass]
replicasets: [rs, replicaset]
replicationcontrollers: [rc, replicationcontroller]
resourcequotas: [quota, resourcequota]
rolebindings: [rolebinding]
roles: [role]
runtimeclasses: [runtimeclass]
secrets: [secret]
serviceaccounts: [sa, serviceaccount]
services: [svc, service]
statefulsets: [sts, statefulset]
storageclasses: [sc, storageclass]
validatingwebhookconfigurations: [validatingwebhookconfiguration]
volumeattachments: [volumeattachment]
volumeattributesclasses: [vac, volumeattributesclass]
{{- end }}

{{/* Refuses names in a list of types by which a role can grant nothing, all of them at once. */}}
{{- define "k8s-vectordb-sync.checkNames" -}}
{{- $wrong := list }}
{{- $known := include "k8s-vectordb-sync.otherNames" . | fromYaml }}
{{- range . }}
{{- $name := regexFind "^[^.]+" (. | trim | lower) }}
{{- range $plural, $others := $known }}
{{- if has $name $others }}{{ $wrong = append $wrong (printf "%s is %s" $name $plural) }}{{ end }}
{{- end }}
{{- end }}
{{- if $wrong }}
{{- fail (printf "config.watchResourceTypes has short names or kinds, which a role cannot grant: %s; write the plural, or set rbac.rules" (join ", " $wrong)) }}
{{- end }}
{{- end }}
