package controlplane_test

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
)

func TestMissingBinariesNameTheCommandThatMakesThem(t *testing.T) {
	t.Setenv("KUBEBUILDER_ASSETS", t.TempDir())
	_, err := controlplane.Start(t.Context(), controlplane.Options{})
	var missing *controlplane.AssetsError
	if !errors.As(err, &missing) {
		t.Fatalf("Start: %v, want an AssetsError", err)
	}
	if len(missing.Missing) != 3 || !strings.Contains(err.Error(), "make controlplane") {
		t.Errorf("error %q with %v, want three files and the command", err, missing.Missing)
	}
}

func TestVersionIsTheOneThatIsBuilt(t *testing.T) {
	mod, err := os.ReadFile("../../../hack/controlplane/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, module := range []string{"k8s.io/kubernetes", "go.etcd.io/etcd/server/v3"} {
		found := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(module) + ` (v\S+)`).FindSubmatch(mod)
		if found == nil {
			t.Fatalf("hack/controlplane/go.mod does not require %s", module)
		}
		want = append(want, string(found[1]))
	}
	if got := strings.Join(want, "-etcd-"); got != controlplane.Version {
		t.Errorf("Version is %q, but hack/controlplane/go.mod makes %q", controlplane.Version, got)
	}
}

func TestAuditIsRefusedWhenItIsOff(t *testing.T) {
	var c controlplane.ControlPlane
	if _, err := c.AuditEvents(); !errors.Is(err, controlplane.ErrNoAudit) {
		t.Errorf("AuditEvents: %v, want ErrNoAudit", err)
	}
}
