package api

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed web/*.html
var pageFiles embed.FS

//go:embed web/style.css
var styleSheet string

// pages are parsed when the program starts; a page that does not parse stops every test of this package.
var pages = template.Must(template.ParseFS(pageFiles, "web/*.html"))

// pagePolicy lets a page use its own style sheet, by its hash, and the empty icon; nothing else, and no script at all.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(styleSheet))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; img-src data:; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// frame is what all pages show.
type frame struct {
	Title   string
	Style   template.CSS
	Refresh int // seconds; 0 is never
	Pages   []link
}

// link is a choice; Here marks the one that is taken.
type link struct {
	Name, Path string
	Here       bool
}

func newFrame(title, here string) frame {
	f := frame{
		Title: title,
		Style: template.CSS(styleSheet), //nolint:gosec // It is a file of this package.
		Pages: []link{
			{Name: "Overview", Path: "/"},
			{Name: "Ring", Path: "/ring"},
			{Name: "Status", Path: "/api/v1/status"},
			{Name: "API", Path: "/openapi.json"},
		},
	}
	for i := range f.Pages {
		f.Pages[i].Here = f.Pages[i].Path == here
	}
	return f
}

// writePage answers with a page.
func (s *Server) writePage(w http.ResponseWriter, r *http.Request, name string, data any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		s.fail(w, r, fmt.Errorf("rendering %s: %w", name, err))
		return
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	write(w, http.StatusOK, "text/html; charset=utf-8", b.Bytes())
}

// indexPage is the data of web/index.html.
type indexPage struct {
	frame
	Status                                 Status
	PhaseName, PhaseClass, Uptime, Objects string
}

func (s *Server) getIndexPage(w http.ResponseWriter, r *http.Request) {
	st := s.backend.Status(r.Context())
	p := indexPage{frame: newFrame("Overview", "/"), Status: st, Objects: count(st.Objects, "object")}
	p.Uptime = duration(time.Duration(st.UptimeSeconds * float64(time.Second)))
	switch st.Phase {
	case PhaseInSync:
		p.PhaseName, p.PhaseClass = "in sync", "good"
	case PhaseSyncing, PhaseStarting, PhaseStopping:
		p.PhaseName, p.PhaseClass = string(st.Phase), "warn"
	default:
		p.PhaseName, p.PhaseClass = string(st.Phase), "quiet"
	}
	s.writePage(w, r, "index.html", p)
}

// maxRefresh is an hour: a page that is refreshed less often need not be.
const maxRefresh = 3600

func (s *Server) getRingPage(w http.ResponseWriter, r *http.Request) {
	refresh := 0
	if text := r.URL.Query().Get("refresh"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxRefresh {
			s.fail(w, r, &BadRequestError{Message: fmt.Sprintf("refresh is %s, want a number of seconds from 1 to %d", quote(text), maxRefresh)})
			return
		}
		refresh = n
	}
	s.writePage(w, r, "ring.html", newRingPage(s.backend.Ring(r.Context()), refresh, time.Now()))
}

// duration says how long something took as people do: two units at most, and no fractions.
func duration(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
}

// count says how many there are of something.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// percent says a share with one digit.
func percent(share float64) string {
	return strings.Replace(strconv.FormatFloat(share*100, 'f', 1, 64), "-0.0", "0.0", 1) + " %"
}
