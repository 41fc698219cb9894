package controlplane_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
)

// bystander has the test binary start a control plane, print its directory, and wait to be killed.
const bystander = "CONTROLPLANE_TEST_BYSTANDER"

func TestMain(m *testing.M) {
	if os.Getenv(bystander) != "" {
		os.Exit(standBy())
	}
	goleak.VerifyTestMain(controlplane.Shared(m))
}

func standBy() int {
	c, err := controlplane.Start(context.Background(), controlplane.Options{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(filepath.Dir(c.Kubeconfig()))
	select {}
}
