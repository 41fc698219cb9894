package app

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound"
)

// ClusterConfig finds the API server as kubectl does: KUBECONFIG, then the pod's service account, then ~/.kube/config.
func ClusterConfig() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	restConfig, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the API server (set KUBECONFIG, or run in a pod with a service account): %w", err)
	}
	if restConfig.Proxy == nil { // else the kubeconfig names a proxy
		restConfig.Proxy = outbound.Proxy
	}
	return restConfig, nil
}
