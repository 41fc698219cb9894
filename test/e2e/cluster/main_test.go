//go:build cluster

package cluster

import (
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const (
	// namespace and name are those of the README.
	namespace = "k8s-vectordb-sync-system"
	name      = "k8s-vectordb-sync"
	chart     = "charts/k8s-vectordb-sync"
	// repository and receiverImage are the images of hack/cluster/images.sh, with the tags one and two for the
	// first.
	repository    = "k8s-vectordb-sync.test/k8s-vectordb-sync"
	receiverImage = "k8s-vectordb-sync.test/receiver:one"
	// root is the root of the repository, where the README's commands are run.
	root = "../../.."
)

// config reaches the cluster with every right.
var config *rest.Config

// TestMain needs the environment of hack/cluster/test.sh: KUBECONFIG, CLUSTER_CTL, and helm, kubectl and the plugin
// on the PATH.
func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard())
	var err error
	config, err = clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil || os.Getenv("CLUSTER_CTL") == "" {
		fmt.Fprintf(os.Stderr, "run these by make test-cluster: %v\n", err)
		os.Exit(1)
	}
	config.QPS = -1
	m.Run()
}
