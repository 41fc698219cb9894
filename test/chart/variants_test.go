package chart_test

// variants are ways to install the chart, as values files. Together they switch on everything in it.
var variants = map[string]string{
	"default": ``,
	"as the readme says": `
config: {restEndpoint: "http://cluster-whisperer:3000/api/v1/instances/sync"}`,
	"three replicas": `
replicaCount: 3
config: {instancesEndpoint: "https://receiver.example.com/api/v1/instances/sync"}
topologySpreadConstraints:
  - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule}
podDisruptionBudget: {maxUnavailable: 25%}
persistence: {enabled: true, storageClassName: fast, size: 2Gi, annotations: {backup: "no"}}`,
	"autoscaled": `
autoscaling: {enabled: true, minReplicas: 3, maxReplicas: 12, targetMemoryUtilizationPercentage: 90}`,
	"narrowed": `
config:
  watchResourceTypes: [deployments, services, statefulsets.apps, ingresses.v1.networking.k8s.io, configmaps.v1]
  watchNamespaces: [shop, payments]`,
	"all settings": `
config:
  restEndpoint: http://cluster-whisperer.search.svc:3000/api/v1/instances/sync
  capabilitiesEndpoint: http://cluster-whisperer.search.svc:3000/api/v1/capabilities/scan
  authTokenSecretRef: {name: receiver, key: api-key}
  requestTimeoutMs: 60000
  settleTimeMs: 70000
  maxInFlight: 4
  debounceWindowMs: 1000
  debounceMaxWaitMs: 30000
  batchFlushIntervalMs: 2000
  batchMaxSize: 100
  batchMaxBytes: 1048576
  dirtyMaxBytes: 64Mi
  resyncIntervalMin: 0
  watchResourceTypes: "*.apps, pods"
  excludeResourceTypes: [controllerrevisions]
  excludeNamespaces: kube-system,kube-public
  annotationInclude: [description, "*/description"]
  annotationExclude: [internal.example.com/description]
  endpointSecretRef: {name: receiver-tls, ca: ca.crt, clientCert: tls.crt, clientKey: tls.key, headers: headers}
  labelInclude: [app, "*/*"]
  labelExclude: ["*/?fd.timestamp", example.com/token]
  watchLabelSelector: team in (search, shop)
  optOutAnnotation: example.com/private
  skipControlled: true
  extraLabels: {cluster: prod-eu, example.com/tier: ""}
  apiBindAddress: :9082
  apiAuth: true
  debugEndpoints: true
  metricsBindAddress: :9443
  healthProbeBindAddress: :9081
  logLevel: 4
  logFormat: console
  stateDir: /state
  ringName: blue
  leaseDurationMs: 30000
  leaseRenewDeadlineMs: 20000
  leaseRenewIntervalMs: 10000
  shutdownTimeoutMs: 45500
networkPolicy: {enabled: true}`,
	"dot-ai": `
config:
  endpointFormat: dot-ai
  restEndpoint: http://dot-ai.dot-ai.svc.cluster.local:3456/api/v1/resources/sync
  authTokenFile: /vault/token
extraVolumes: [{name: vault, emptyDir: {}}]
extraVolumeMounts: [{name: vault, mountPath: /vault}]`,
	"declared receivers": `
resourceSyncConfig: {enabled: true}
networkPolicy: {enabled: true}`,
	"declared receivers of one team": `
config:
  restEndpoint: http://cluster-whisperer:3000/api/v1/instances/sync
  watchResourceTypes: [deployments, services]
resourceSyncConfig:
  enabled: true
  crd: {install: false}
  secrets: {namespaces: [team], names: [mcp-credentials]}
networkPolicy: {enabled: true, receiverTo: [{ipBlock: {cidr: 192.0.2.0/24}}]}`,
	"cert-manager and prometheus": `
metrics:
  certManager: {enabled: true}
  serviceMonitor: {enabled: true, interval: 30s, scrapeTimeout: 10s, labels: {release: prometheus}}
  prometheusRule: {enabled: true, labels: {release: prometheus}, additionalRules: [{alert: Mine, expr: vector(1)}]}
  dashboard: {enabled: true}
  readers: [{name: prometheus-k8s, namespace: monitoring}]`,
	"another issuer": `
metrics:
  certManager: {enabled: true, issuerRef: {kind: ClusterIssuer, name: company}, duration: 2160h}
  serviceMonitor:
    enabled: true
    metricRelabelings: [{action: drop, sourceLabels: [__name__], regex: go_.*}]
    relabelings: [{action: labeldrop, regex: pod}]`,
	"own metrics certificate": `
metrics: {existingCertSecret: metrics-tls, serviceMonitor: {enabled: true}}`,
	"plain metrics": `
config: {metricsSecure: false}
metrics: {serviceMonitor: {enabled: true}}`,
	"no metrics": `
config: {metricsBindAddress: "0"}
networkPolicy: {enabled: true}`,
	"walled in": `
config: {restEndpoint: "https://receiver.example.com/sync"}
networkPolicy:
  enabled: true
  apiFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ops}}}]
  receiverTo: [{ipBlock: {cidr: 192.0.2.0/24}}]
  apiServerPorts: [6443]
  extraEgress: [{ports: [{port: 3128, protocol: TCP}]}]`,
	"everything about pods": `
image: {repository: registry.example.com/sync, digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", pullPolicy: Always}
imagePullSecrets: [{name: registry}]
commonLabels: {team: search}
podLabels: {tier: backend}
podAnnotations: {example.com/note: "yes"}
serviceAccount: {name: sync, annotations: {example.com/role: sync}}
service: {type: NodePort, port: 80, ipFamilyPolicy: SingleStack, ipFamilies: [IPv4], annotations: {example.com/a: b}}
resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 2, memory: 2Gi}}
goMemLimitPercent: 80
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: dedicated, operator: Exists, effect: NoSchedule}]
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}
topologySpreadConstraints: []
priorityClassName: system-cluster-critical
runtimeClassName: gvisor
dnsPolicy: None
dnsConfig: {nameservers: [192.0.2.53], searches: [svc.cluster.local], options: [{name: ndots, value: "2"}]}
hostAliases: [{ip: 192.0.2.10, hostnames: [receiver.internal]}]
revisionHistoryLimit: 3
terminationGracePeriodSeconds: 120
livenessProbe: {periodSeconds: 5}
extraEnv: [{name: HTTPS_PROXY, value: "http://proxy:3128"}, {name: HOST_IP, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]
extraEnvFrom: [{configMapRef: {name: proxy}}, {secretRef: {name: more, optional: true}}]
extraContainers: [{name: proxy, image: "proxy:1"}]
initContainers: [{name: wait, image: "wait:1"}]
extraObjects:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: "{{ .Release.Name }}-more"}, data: {a: b}}
  - |
    apiVersion: v1
    kind: ConfigMap
    metadata:
      name: {{ include "k8s-vectordb-sync.fullname" . }}-text
podDisruptionBudget: {enabled: false}`,
	"in a parent chart": `
enabled: true
global: {imageRegistry: "mirror.example.com:5000", imagePullSecrets: [mirror, {name: another}], anything: {else: true}}
imagePullSecrets: [{name: mirror}, registry]
commonAnnotations: {example.com/owner: search}
workloadAnnotations: {reloader.stakater.com/auto: "true"}`,
	"some namespaces": `
config:
  restEndpoint: http://cluster-whisperer:3000/api/v1/instances/sync
  watchNamespaces: [team, monitoring]
rbac: {namespaced: true}`,
	"some namespaces and plain metrics": `
config: {watchNamespaces: "team, monitoring", metricsSecure: false, watchResourceTypes: [deployments.apps, services.v1]}
rbac: {namespaced: true, preset: no-secrets, extraRules: [{apiGroups: [example.com], resources: ["*"], verbs: [list, watch]}]}
metrics: {serviceMonitor: {enabled: true}}`,
	"no Secrets": `
config: {restEndpoint: "http://cluster-whisperer:3000/api/v1/instances/sync"}
rbac: {preset: no-secrets, extraRules: [{apiGroups: [example.com], resources: [widgets], verbs: [list, watch]}]}`,
	"rules of their own": `
rbac: {rules: [{apiGroups: ["", apps], resources: [pods, deployments], verbs: [get, list, watch]}]}`,
	"alerts as they want them": `
metrics:
  serviceMonitor: {enabled: true, authorization: {secretName: prometheus-token, secretKey: bearer}}
  prometheusRule:
    enabled: true
    ruleLabels: {team: search}
    rules:
      K8sVectorDBSyncReplicaDead: {enabled: false}
      K8sVectorDBSyncReceiverDown: {threshold: 900, for: 15m, severity: warning, labels: {page: "no"}}`,
	"a receiver beside it": `
receiver: {enabled: true}
networkPolicy: {enabled: true}`,
	"a receiver of the kind of dot-ai on a volume": `
config: {endpointFormat: dot-ai, authTokenSecretRef: {name: receiver-token}}
networkPolicy: {enabled: true}
receiver:
  enabled: true
  image: {repository: registry.example.com/receiver, tag: "2"}
  embedder: {url: "http://ollama.models.svc:11434", model: nomic-embed-text, keySecretRef: {name: embedder, key: key}}
  extraArgs: [--max-records=100]
  service: {port: 80}
  persistence: {enabled: true, storageClassName: fast, annotations: {backup: "no"}}
  from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: search}}}]`,
	"the predecessor's values": predecessorsValues,
	"empty texts": `
config:
  restEndpoint: ""
  instancesEndpoint: ""
  endpointFormat: ""
  capabilitiesEndpoint: ""
  authTokenFile: ""
  requestTimeoutMs: ""
  settleTimeMs: ""
  maxInFlight: ""
  debounceWindowMs: ""
  debounceMaxWaitMs: ""
  batchFlushIntervalMs: ""
  batchMaxSize: ""
  batchMaxBytes: ""
  dirtyMaxBytes: ""
  resyncIntervalMin: ""
  watchResourceTypes: ""
  apiBindAddress: ""
  metricsBindAddress: ""
  metricsCertDir: ""
  healthProbeBindAddress: ""
  logLevel: ""
  logFormat: ""
  stateDir: ""
  ringName: ""
  leaseDurationMs: ""
  leaseRenewDeadlineMs: ""
  leaseRenewIntervalMs: ""
  shutdownTimeoutMs: ""
persistence: {enabled: true, storageClassName: "", fsGroup: ""}
service: {ipFamilyPolicy: "", apiPort: "", healthPort: ""}
autoscaling: {targetMemoryUtilizationPercentage: ""}
terminationGracePeriodSeconds: ""
revisionHistoryLimit: ""
runtimeClassName: ""
dnsPolicy: ""
healthProbeBindAddress: ""
image: {tag: "", digest: ""}`,
	"without permissions": `
rbac: {create: false}
serviceAccount: {create: false, name: theirs}
resources: {limits: null}`,
}

// predecessorsValues are a values file of the chart of k8s-vectordb-sync 0.1: the values that only that chart
// has, and those of both.
const predecessorsValues = `
replicaCount: 1
leaderElect: true
healthProbeBindAddress: ":9081"
service: {type: ClusterIP, apiPort: 9082, healthPort: 9081}
rbac:
  create: true
  rules:
    - {apiGroups: ["*"], resources: ["*"], verbs: [get, list, watch]}
config:
  restEndpoint: http://cluster-whisperer:3000/api/v1/instances/sync
  instancesEndpoint: ""
  capabilitiesEndpoint: ""
  debounceWindowMs: 10000
  batchFlushIntervalMs: 5000
  batchMaxSize: 50
  resyncIntervalMin: 1440
  watchResourceTypes: ""
  excludeResourceTypes: events,leases,endpointslices
  apiBindAddress: ":8082"
  logLevel: info
`
