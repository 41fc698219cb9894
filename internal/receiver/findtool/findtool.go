// Package findtool is the tool by which an assistant asks the reference receiver: find_resources, of the Model
// Context Protocol. The receiver serves it over HTTP, and kubectl vectordb-sync over standard input and output.
// Both give the same answers.
//
//	assistant ─MCP─▶ find_resources(query, namespace, kind, limit) ─▶ Finder ─▶ resources, best first
//
// The package does not know how the search works. The server that it makes is safe for concurrent use if the
// [Finder] is.
package findtool

import (
	"context"
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Name is the name of the tool.
const Name = "find_resources"

// MaxLimit is how many resources one call finds at most.
const MaxLimit = 50

const defaultLimit = 10

// Input is the question of an assistant.
type Input struct {
	Query     string `json:"query" jsonschema:"what to look for, in plain words, such as: which databases are we running"`
	Namespace string `json:"namespace,omitempty" jsonschema:"only this namespace; _cluster for resources that are in none; all if absent"`
	Kind      string `json:"kind,omitempty" jsonschema:"only this kind, such as Deployment; plurals and the short names of kubectl will do"`
	Limit     int    `json:"limit,omitempty" jsonschema:"how many resources at most, 1 to 50; 10 if absent"`
}

// Resource is one resource that was found.
type Resource struct {
	Kind        string            `json:"kind"`
	Namespace   string            `json:"namespace"`
	Name        string            `json:"name"`
	APIVersion  string            `json:"apiVersion"`
	Description string            `json:"description,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	ID          string            `json:"id"`
	Score       float64           `json:"score"`
}

// Output is the answer.
type Output struct {
	// Ranking says whether meaning counted, or words alone.
	Ranking   string     `json:"ranking" jsonschema:"how the resources are ranked: words, or words and meaning"`
	Resources []Resource `json:"resources" jsonschema:"what was found, best first"`
}

// Finder searches. A limit is within 1 to [MaxLimit].
type Finder func(ctx context.Context, in Input) (Output, error)

const description = "Find resources of this Kubernetes cluster by a question in plain words. " +
	"Searches kinds, names, namespaces, labels and descriptions of everything in the cluster, custom resources included. " +
	"Answers what there is and where, as of a few seconds ago; it knows neither specifications nor the state of pods, for which read the resource itself."

// NewServer returns a server with the tool.
func NewServer(version string, find Finder) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{
		Name: "k8s-vectordb-sync", Title: "Search in a Kubernetes cluster", Version: version,
	}, nil)
	no := false
	mcp.AddTool(server, &mcp.Tool{
		Name: Name, Title: "Find resources in the cluster", Description: description,
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true, IdempotentHint: true, DestructiveHint: &no, OpenWorldHint: &no},
	}, func(ctx context.Context, _ *mcp.CallToolRequest, in Input) (*mcp.CallToolResult, Output, error) {
		if in.Query = strings.TrimSpace(in.Query); in.Query == "" {
			return nil, Output{}, fmt.Errorf("query is empty, want what to look for")
		}
		if in.Limit < 1 {
			in.Limit = defaultLimit
		}
		in.Limit = min(in.Limit, MaxLimit)
		out, err := find(ctx, in)
		if err != nil {
			return nil, Output{}, err
		}
		if out.Resources == nil {
			out.Resources = []Resource{} // the schema wants a list
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: Text(out)}}}, out, nil
	})
	return server
}

// Text is an answer for a model that reads text: a line for each resource.
func Text(out Output) string {
	if len(out.Resources) == 0 {
		return "Nothing was found."
	}
	var b strings.Builder
	for _, r := range out.Resources {
		where := "in namespace " + r.Namespace
		if r.Namespace == "" || r.Namespace == "_cluster" {
			where = "cluster-scoped"
		}
		fmt.Fprintf(&b, "%s %s (%s, %s)", r.Kind, r.Name, r.APIVersion, where)
		if r.Description != "" {
			b.WriteString(": " + strings.Join(strings.Fields(r.Description), " "))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
