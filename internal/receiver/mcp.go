package receiver

import (
	"context"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver/findtool"
)

// mcpMaxBytes bounds a request of an assistant: a question is a few hundred bytes.
const mcpMaxBytes = 256 << 10

// mcpHandler serves the tool for assistants. It keeps no session: each request stands alone. So an assistant that
// goes away leaves nothing behind, and Close waits for no stream.
func (s *Server) mcpHandler() http.Handler {
	server := findtool.NewServer(s.opts.Version, s.findResources)
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	bounded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, mcpMaxBytes)
		handler.ServeHTTP(w, r)
	})
	// A web page in a person's browser must not ask about the cluster.
	return http.NewCrossOriginProtection().Handler(bounded)
}

func (s *Server) findResources(ctx context.Context, in findtool.Input) (findtool.Output, error) {
	a, err := s.lookUp(ctx, Query{Text: in.Query, Namespace: in.Namespace, Kind: in.Kind, Limit: in.Limit})
	if err != nil {
		return findtool.Output{}, err
	}
	return findtool.Output{Ranking: a.Ranking, Resources: a.Hits}, nil
}
