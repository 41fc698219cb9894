package chart_test

// variants are ways of installing the chart, as values files. Together they switch on everything that it has.
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
  apiBindAddress: :9082
  apiAuth: true
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
service: {type: NodePort, port: 80, annotations: {example.com/a: b}}
resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 2, memory: 2Gi}}
goMemLimitPercent: 80
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: dedicated, operator: Exists, effect: NoSchedule}]
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}
topologySpreadConstraints: []
priorityClassName: system-cluster-critical
terminationGracePeriodSeconds: 120
livenessProbe: {periodSeconds: 5}
extraEnv: [{name: HTTPS_PROXY, value: "http://proxy:3128"}, {name: HOST_IP, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]
extraContainers: [{name: proxy, image: "proxy:1"}]
podDisruptionBudget: {enabled: false}`,
	"without permissions": `
rbac: {create: false}
serviceAccount: {create: false, name: theirs}
resources: {limits: null}`,
}
