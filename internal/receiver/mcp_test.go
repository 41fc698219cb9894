package receiver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

// assistant connects the SDK's own client.
func (r *rig) assistant() *mcp.ClientSession {
	r.t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "assistant", Version: "1"}, nil)
	session, err := client.Connect(r.t.Context(), &mcp.StreamableClientTransport{Endpoint: r.url + "/mcp", HTTPClient: r.client}, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = session.Close() })
	return session
}

func TestMCP_Assistant_ListsTheToolAndFindsThePostgres(t *testing.T) {
	r := newCluster(t)
	session := r.assistant()
	tools, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(tools.Tools) != 1 || tools.Tools[0].Name != "find_resources" || !tools.Tools[0].Annotations.ReadOnlyHint {
		t.Fatalf("tools %+v, want find_resources, which only reads", tools.Tools)
	}
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{
		Name: "find_resources", Arguments: map[string]any{"query": "which databases are we running?", "kind": "statefulsets", "namespace": "data", "limit": 1},
	})
	if err != nil || result.IsError {
		t.Fatalf("%+v, %v", result, err)
	}
	structured, _ := result.StructuredContent.(map[string]any)
	resources, _ := structured["resources"].([]any)
	if len(resources) != 1 || structured["ranking"] != "words" {
		t.Fatalf("%+v, want one resource, ranked by words", structured)
	}
	if found, _ := resources[0].(map[string]any); found["name"] != "postgres" || found["kind"] != "StatefulSet" || found["namespace"] != "data" {
		t.Errorf("found %+v, want the Postgres", found)
	}
	text, _ := result.Content[0].(*mcp.TextContent)
	if want := "StatefulSet postgres (apps/v1, in namespace data): Keeps the orders of the shop"; text == nil || !strings.Contains(text.Text, want) {
		t.Errorf("text %+v, want %q", result.Content, want)
	}
}

func TestMCP_QuestionThatIsNone_IsAnErrorOfTheTool(t *testing.T) {
	session := newCluster(t).assistant()
	for name, arguments := range map[string]map[string]any{"empty": {"query": " "}, "absent": {}, "no text": {"query": 7}} {
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "find_resources", Arguments: arguments})
		if err == nil && !result.IsError {
			t.Errorf("%s: %+v, want an error", name, result)
		}
	}
}

func TestMCP_ForeignPageOrLargeBody_IsRefused(t *testing.T) {
	r := newRig(t, receiver.Options{})
	header := map[string]string{"Accept": "application/json, text/event-stream", "Host": "evil.example"}
	g := r.must(request{path: "/mcp", body: `{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("x", 1<<20) + `"}`, header: header})
	if g.status < http.StatusBadRequest {
		t.Errorf("a body of 1 MiB: %d %.100s", g.status, g.body)
	}
	header["Sec-Fetch-Site"], header["Origin"] = "cross-site", "https://evil.example"
	g = r.must(request{path: "/mcp", body: `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, header: header})
	if g.status < http.StatusBadRequest {
		t.Errorf("a page of another origin: %d %.100s, want a refusal", g.status, g.body)
	}
}
