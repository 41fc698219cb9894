package checkpoint

import corev1 "k8s.io/api/core/v1"

// Take takes a ConfigMap as the watch brings it.
func (s *Store) Take(m *corev1.ConfigMap) { sink{s}.take(m) }
