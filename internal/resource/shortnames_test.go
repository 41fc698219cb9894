package resource_test

import (
	"fmt"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

func TestShortNames(t *testing.T) {
	t.Parallel()
	deployments := resource.Type{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true}
	services := resource.Type{Version: "v1", Resource: "services", Kind: "Service", Namespaced: true}
	certificates := resource.Type{Group: "cert-manager.io", Version: "v1", Resource: "certificates", Kind: "Certificate", Namespaced: true}
	f, err := resource.NewFilter([]string{"deploy", "SVC", "cert", "deploy.apps", "svcs"}, []string{"cm"})
	if err != nil {
		t.Fatal(err)
	}
	if !f.Match(deployments) || !f.Match(services) || f.Match(certificates) {
		t.Error("short names of Kubernetes' own types do not work by themselves, or others do untold")
	}
	told := f.WithShortNames(map[string][]string{"certificates.cert-manager.io": {"cert", "certs"}})
	if !told.Match(certificates) || !told.Match(deployments) {
		t.Error("short names that were told do not work")
	}
	all := []resource.Type{deployments, services, certificates}
	if got := fmt.Sprint(told.Unknown(all)); got != "[svcs cm]" {
		t.Errorf("unknown are %s, want [svcs cm]", got)
	}
	if told.String() != f.String() {
		t.Errorf("with short names the filter is %s, want it as it was configured: %s", told, f)
	}
}
