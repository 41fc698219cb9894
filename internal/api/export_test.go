package api

import (
	"net/http"
	"time"
)

// Call is a parsed POST /api/v1/resync.
type Call struct {
	Request
	Wait    bool
	Timeout time.Duration
}

// ParseCall parses a request with the defaults of a server without options.
func ParseCall(r *http.Request) (Call, error) {
	c, err := parseCall(r, call{Request: Request{Scope: ScopeFleet}, wait: true, timeout: 10 * time.Minute}, fields)
	return Call{c.Request, c.wait, c.timeout}, err
}

// Fields are the names that a request may hold.
var Fields = fields

// Routes returns the method and the pattern of every route.
func (s *Server) Routes() [][2]string {
	var all [][2]string
	for _, rt := range s.table() {
		for m := range rt.methods {
			all = append(all, [2]string{m, rt.pattern})
		}
	}
	return all
}

// Paragraph is a paragraph with a value as its text and another one as its title.
func Paragraph(title, content string) string {
	return string("<p" + attr("title", title) + ">" + text(content) + "</p>")
}
