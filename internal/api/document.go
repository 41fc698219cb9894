package api

import (
	_ "embed"
	"net/http"
)

// The document is written as YAML. openapi.json has the same contents and is made from it: go test ./internal/api
// -update.
var (
	//go:embed openapi.yaml
	documentYAML []byte
	//go:embed openapi.json
	documentJSON []byte
)

func (s *Server) getDocument(contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, contentType, body) }
}
