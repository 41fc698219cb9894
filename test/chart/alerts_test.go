package chart_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// rules returns the alerts of a rendered PrometheusRule, by name, and has promtool check them where it is installed.
func rules(t *testing.T, args ...string) map[string]map[string]any {
	t.Helper()
	m := template(t, append([]string{"--set", "metrics.prometheusRule.enabled=true"}, args...)...)
	spec := m.find("PrometheusRule/k8s-vectordb-sync-alerts").Object["spec"]
	content, err := yaml.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	if promtool := os.Getenv("PROMTOOL"); promtool != "" {
		path := filepath.Join(t.TempDir(), "rules.yaml")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		mustRun(t, nil, promtool, "check", "rules", path)
	}
	var groups struct {
		Groups []struct {
			Rules []map[string]any `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(content, &groups); err != nil {
		t.Fatal(err)
	}
	byName := map[string]map[string]any{}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			byName[r["alert"].(string)] = r
		}
	}
	return byName
}

func TestAlerts_EachCanBeSwitchedOff_AndNothingElseChanges(t *testing.T) {
	t.Parallel()
	all := rules(t)
	if len(all) < 20 {
		t.Fatalf("%d alerts: too little was tested", len(all))
	}
	var off []string
	for name := range all {
		off = append(off, "metrics.prometheusRule.rules."+name+".enabled=false")
	}
	if none := rules(t, "--set", strings.Join(off[1:], ",")); len(none) != 1 {
		t.Errorf("with all but one switched off there are %d", len(none))
	}
	without := rules(t, "--set", "metrics.prometheusRule.rules.K8sVectorDBSyncReplicaDead.enabled=false")
	delete(all, "K8sVectorDBSyncReplicaDead")
	if diff := cmp.Diff(all, without); diff != "" {
		t.Errorf("alerts (-all but one +got):\n%s", diff)
	}
}

func TestAlerts_ThresholdDurationSeverityAndLabels_AreTheirs(t *testing.T) {
	t.Parallel()
	got := rules(t, "--set", "metrics.prometheusRule.ruleLabels.team=search,metrics.prometheusRule.rules.K8sVectorDBSyncReceiverDown.threshold=900,"+
		"metrics.prometheusRule.rules.K8sVectorDBSyncReceiverDown.for=20m,metrics.prometheusRule.rules.K8sVectorDBSyncReceiverDown.severity=warning,"+
		"metrics.prometheusRule.rules.K8sVectorDBSyncReceiverDown.labels.page=no,metrics.prometheusRule.rules.K8sVectorDBSyncResyncOverdue.threshold=60")
	down := got["K8sVectorDBSyncReceiverDown"]
	if want := map[string]any{"severity": "warning", "team": "search", "page": "no"}; !cmp.Equal(want, down["labels"]) || down["for"] != "20m" {
		t.Errorf("labels %v for %v", down["labels"], down["for"])
	}
	if expr := down["expr"].(string); !strings.Contains(expr, "> 900\n") || strings.Contains(expr, "300") || !strings.Contains(expr, "== 0") {
		t.Errorf("expression %s", expr)
	}
	if expr := got["K8sVectorDBSyncResyncOverdue"]["expr"].(string); !strings.Contains(expr, "seconds > 0)") || !strings.HasSuffix(expr, "> 60") {
		t.Errorf("expression %s", expr)
	}
	for name, r := range got {
		if r["labels"].(map[string]any)["team"] != "search" {
			t.Errorf("%s has the labels %v", name, r["labels"])
		}
	}
	for set, want := range map[string]string{
		"metrics.prometheusRule.rules.Nonsense.enabled=false":            "no alert is called so",
		"metrics.prometheusRule.rules.K8sVectorDBSyncAbsent.threshold=1": "has no threshold",
	} {
		if message := refused(t, "--set", "metrics.prometheusRule.enabled=true,"+set); !strings.Contains(message, want) {
			t.Errorf("%s: message %q", set, message)
		}
	}
}

// A threshold replaces one number in one alert's expression. If it occurred twice, it would change another number,
// too.
func TestAlerts_EachThreshold_IsOnceInItsExpression(t *testing.T) {
	t.Parallel()
	var thresholds map[string]float64
	if err := yaml.Unmarshal(read(t, chartDir+"/files/alert-thresholds.yaml"), &thresholds); err != nil {
		t.Fatal(err)
	}
	exprs := map[string]string{}
	for _, a := range readAlerts(t) {
		exprs[a.Alert] = a.Expr
	}
	for name, number := range thresholds {
		pattern := regexp.MustCompile(`> ` + regexp.QuoteMeta(jsonNumber(number)) + `\b`)
		if n := len(pattern.FindAllString(exprs[name], -1)); n != 1 {
			t.Errorf("%s: %v is %d times in %q", name, number, n, exprs[name])
		}
	}
}

func jsonNumber(f float64) string {
	out, _ := yaml.Marshal(f)
	return strings.TrimSpace(string(out))
}
