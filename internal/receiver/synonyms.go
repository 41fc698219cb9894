package receiver

import "strings"

// askingWords belong to the question, not to its object. The index's own stop words ("the", "in") come on top.
var askingWords = wordSet(`list find show get give display search tell me us all any every some which what where who whose how
	many much please do does did have has had is are was were we our you your they there running run runs deployed live currently
	related about regarding concerning using use used uses exist exists named called see look want need know now`)

// vagueWords say little in a cluster, where they apply to every object; they count when the question has no others.
var vagueWords = wordSet(`namespace namespaces cluster clusters resource resources object objects thing things kind kinds
	kubernetes k8s app apps application applications component components system systems instance instances`)

// concepts are words that stand for many things, each line the words and, behind the colon, their meanings. They
// are expanded in one direction: a search for databases wants Postgres too, one for Postgres does not want Redis.
var concepts = conceptTable(`
	database databases db dbs datastore datastores: postgres postgresql psql cnpg pgbouncer patroni pgvector timescaledb
		mysql mariadb percona vitess sqlite sql mssql sqlserver oracle redis valkey mongodb mongo cassandra scylla cockroach cockroachdb yugabyte tidb dynamodb
		elasticsearch opensearch clickhouse influxdb neo4j couchdb couchbase etcd rds cloudsql qdrant chroma chromadb weaviate milvus
	sql: postgres postgresql cnpg mysql mariadb percona vitess mssql sqlserver cockroach cockroachdb tidb yugabyte sqlite cloudsql rds
	nosql: mongodb mongo cassandra scylla redis valkey couchdb couchbase dynamodb
	vector: qdrant chroma chromadb weaviate milvus pgvector
	cache caches caching: redis valkey memcached memcache dragonfly keydb hazelcast varnish
	queue queues messaging message messages broker brokers streaming stream events pubsub: kafka strimzi kafkatopic redpanda rabbitmq amqp
		nats jetstream activemq artemis pulsar mqtt mosquitto sqs zookeeper
	ingress ingresses gateway gateways proxy proxies routing route routes loadbalancer: ingress ingressroute gateway httproute grpcroute
		tlsroute virtualservice nginx traefik haproxy envoy istio contour kong apisix ambassador
	certificate certificates cert certs tls ssl https: certificate cert certmanager issuer clusterissuer certificaterequest
		acme letsencrypt tls ssl pki
	monitoring monitor observability metrics alerting alerts dashboard dashboards: prometheus grafana alertmanager thanos
		mimir victoriametrics servicemonitor podmonitor prometheusrule exporter datadog opentelemetry otel loki tempo jaeger
	logging logs log: loki fluentd fluentbit fluent promtail vector logstash elasticsearch opensearch kibana graylog
	tracing traces trace: jaeger tempo zipkin opentelemetry otel
	shop shops store ecommerce shopping: shop storefront cart basket checkout catalog catalogue product order orders webshop
	payment payments paying billing: payment pay checkout billing invoice stripe paypal adyen transaction charge subscription ledger
	web website websites site frontend ui: web frontend website nginx apache httpd caddy webapp ui spa
	backend backends api apis: api backend server graphql grpc rest
	auth authentication login identity sso: auth keycloak dex oauth oauth2 oidc sso ldap identity zitadel authentik
	email mail smtp: mail smtp postfix mailhog sendgrid mailgun
	storage volume volumes disk disks bucket buckets: persistentvolume persistentvolumeclaim pvc storageclass volume
		minio s3 ceph rook longhorn nfs bucket
	secret secrets credential credentials password passwords: secret externalsecret sealedsecret secretstore vault
	job jobs batch scheduled schedule cron: job cronjob workflow cronworkflow
	ci cd gitops pipeline pipelines: argocd argo flux kustomization helmrelease tekton pipelinerun jenkins
	autoscaling autoscaler scaling: horizontalpodautoscaler hpa verticalpodautoscaler vpa keda scaledobject karpenter
	firewall network networking: networkpolicy ciliumnetworkpolicy cilium calico globalnetworkpolicy
	dns nameserver nameservers: dns coredns kubedns nodelocaldns externaldns powerdns
	cni: kindnet flannel calico cilium weave antrea multus
	workload workloads: deployment statefulset daemonset job cronjob pod
	permission permissions rbac access: role rolebinding clusterrole clusterrolebinding serviceaccount
	ai ml llm model models inference: kserve inferenceservice ollama vllm ray kubeflow notebook mlflow
	user users customer customers account accounts: user customer account profile member
	orders order: order cart checkout fulfillment
`)

// aliases are spellings of one thing; each finds all others of its line.
var aliases = aliasTable(`
	postgres postgresql psql pg cnpg
	mongo mongodb
	mariadb mysql
	kafka strimzi redpanda
	rabbit rabbitmq
	deploy deployment
	sts statefulset
	ds daemonset
	svc service
	cm configmap
	ns namespace
	ing ingress
	sa serviceaccount
	pvc persistentvolumeclaim
	pv persistentvolume
	crd customresourcedefinition
	hpa horizontalpodautoscaler
	pdb poddisruptionbudget
	netpol networkpolicy
	prod production
	dev development
	stg staging
	cockroach cockroachdb crdb
	elastic elasticsearch
`)

// synonymsOf returns other words for a word. It looks a plural up as it is and without its s.
func synonymsOf(word string) []string {
	out := append([]string(nil), concepts[word]...)
	out = append(out, aliases[word]...)
	if single, plural := strings.CutSuffix(word, "s"); plural {
		if _, known := concepts[word]; !known {
			out = append(out, concepts[single]...)
		}
		out = append(out, aliases[single]...)
	}
	return out
}

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		set[w] = true
	}
	return set
}

// conceptTable reads "words: members" entries, each of which ends at the next line with a colon.
func conceptTable(text string) map[string][]string {
	table := map[string][]string{}
	var heads []string
	for line := range strings.Lines(text) {
		members := line
		if head, rest, found := strings.Cut(line, ":"); found {
			heads, members = strings.Fields(head), rest
		}
		for _, h := range heads {
			table[h] = append(table[h], strings.Fields(members)...)
		}
	}
	return table
}

func aliasTable(text string) map[string][]string {
	table := map[string][]string{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		for i, w := range words {
			for j, other := range words {
				if i != j {
					table[w] = append(table[w], other)
				}
			}
		}
	}
	return table
}
