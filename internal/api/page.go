package api

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed web/style.css
var styleSheet markup

// pagePolicy lets a page use its own style sheet, by its hash, and the empty icon; nothing else, and no script at
// all.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(styleSheet))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; img-src data:; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// frame is the part that all pages have in common.
type frame struct {
	Title   string
	Refresh int // seconds; 0 means never
	Pages   []link
}

// link is one of several choices; Here marks the current one.
type link struct {
	Name, Path string
	Here       bool
}

func newFrame(title, here string) frame {
	f := frame{
		Title: title,
		Pages: []link{
			{Name: "Overview", Path: "/"},
			{Name: "Status", Path: "/status"},
			{Name: "Ring", Path: "/ring"},
			{Name: "API", Path: "/openapi.json"},
		},
	}
	for i := range f.Pages {
		f.Pages[i].Here = f.Pages[i].Path == here
	}
	return f
}

// around makes content a whole page.
func (f frame) around(content markup) markup {
	return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>` + text(f.Title) + ` · k8s-vectordb-sync</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
` + when(f.Refresh > 0, `<meta http-equiv="refresh"`+attr("content", strconv.Itoa(f.Refresh))+">\n") +
		`<link rel="icon" href="data:,">
<style>` + styleSheet + `</style>
</head>
<body>
<header>
<p>k8s-vectordb-sync</p>
<nav aria-label="Pages"><ul>
` + each(f.Pages, link.item) + `</ul></nav>
</header>
<main>
` + content + `</main>
</body>
</html>

`
}

// item is a line of the navigation.
func (l link) item() markup {
	return `<li><a` + attr("href", l.Path) + when(l.Here, ` aria-current="page"`) + `>` + text(l.Name) + "</a></li>\n"
}

// writePage answers with a page.
func writePage(w http.ResponseWriter, page markup) {
	w.Header().Set("Content-Security-Policy", pagePolicy)
	write(w, http.StatusOK, "text/html; charset=utf-8", []byte(page))
}

func (s *Server) getIndexPage(w http.ResponseWriter, r *http.Request) {
	writePage(w, newIndexPage(s.backend.Status(r.Context())).markup())
}

// maxRefresh is an hour: a page that changes less often can be reloaded by hand.
const maxRefresh = 3600

// refreshChoices are the ways to refresh a page.
func refreshChoices(path string, refresh int) (all []link) {
	for _, c := range []struct {
		name    string
		seconds int
	}{{"off", 0}, {"every 5 s", 5}, {"every 30 s", 30}} {
		l := link{Name: c.name, Path: path, Here: c.seconds == refresh}
		if c.seconds > 0 {
			l.Path += "?refresh=" + strconv.Itoa(c.seconds)
		}
		all = append(all, l)
	}
	return all
}

// refreshable serves a page that may ask to be loaded again every so many seconds.
func (s *Server) refreshable(page func(r *http.Request, refresh int) markup) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { s.writeRefreshable(w, r, page) }
}

func (s *Server) writeRefreshable(w http.ResponseWriter, r *http.Request, page func(r *http.Request, refresh int) markup) {
	refresh := 0
	if value := r.URL.Query().Get("refresh"); value != "" {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > maxRefresh {
			s.fail(w, r, &BadRequestError{Message: fmt.Sprintf("refresh is %s, want a number of seconds from 1 to %d", quote(value), maxRefresh)})
			return
		}
		refresh = n
	}
	writePage(w, page(r, refresh))
}

func (s *Server) ringPage(r *http.Request, refresh int) markup {
	return newRingPage(s.backend.Ring(r.Context()), refresh, time.Now()).markup()
}

func (s *Server) statusPage(r *http.Request, refresh int) markup {
	return newStatusPage(s.backend.Fleet(r.Context()), refresh, time.Now()).markup()
}

// duration formats a duration as people write it: two units at most, and no fractions.
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

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// percent formats a share with one digit.
func percent(share float64) string {
	return strings.Replace(strconv.FormatFloat(share*100, 'f', 1, 64), "-0.0", "0.0", 1) + " %"
}
