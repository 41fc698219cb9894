package controller

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// metrics count objects by their condition Ready.
type metrics struct {
	objects *prometheus.GaugeVec
	states  map[types.NamespacedName]metav1.ConditionStatus
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		objects: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "k8s_vectordb_sync_resource_sync_configs",
			Help: "ResourceSyncConfig objects by whether they are ready.",
		}, []string{"ready"}),
		states: make(map[types.NamespacedName]metav1.ConditionStatus),
	}
	for _, s := range []metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse} {
		m.of(s)
	}
	if reg != nil {
		reg.MustRegister(m.objects)
	}
	return m
}

func (m *metrics) of(s metav1.ConditionStatus) prometheus.Gauge {
	return m.objects.WithLabelValues(strings.ToLower(string(s)))
}

func (m *metrics) observe(key types.NamespacedName, s metav1.ConditionStatus) {
	m.forget(key)
	m.states[key] = s
	m.of(s).Inc()
}

func (m *metrics) forget(key types.NamespacedName) {
	if s, ok := m.states[key]; ok {
		m.of(s).Dec()
		delete(m.states, key)
	}
}
