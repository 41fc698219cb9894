package api

import "time"

// indexPage is the content of the first page.
type indexPage struct {
	frame
	Status                                 Status
	PhaseName, PhaseClass, Uptime, Objects string
}

func newIndexPage(st Status) indexPage {
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
	return p
}

// markup is the whole page.
func (p indexPage) markup() markup {
	return p.around(p.state() + "\n" + waysIn)
}

func (p indexPage) state() markup {
	return `<h1>` + text(p.Status.Member) + `</h1>
<p><span` + attr("class", "badge "+p.PhaseClass) + `>` + text(p.PhaseName) + `</span>
<span class="soft">version ` + text(p.Status.Version) + `, up for ` + text(p.Uptime) + `, ` + text(p.Objects) + ` known</span></p>
`
}

// waysIn lists the commands and paths by which people ask.
const waysIn markup = `<h2>For people</h2>
<p><a href="/status">The status</a>: how all receivers fare, by the word of all replicas, and what to do where they do not.</p>
<p><a href="/ring">The ring</a>: which replicas share the work, and whether they agree.</p>

<h2>For programs</h2>
<div class="wide" role="region" aria-label="API" tabindex="0">
<table>
<caption>Everything is JSON, and described in <a href="/openapi.json">openapi.json</a> and <a href="/openapi.yaml">openapi.yaml</a>.</caption>
<thead><tr><th scope="col">Request</th><th scope="col">Answer</th></tr></thead>
<tbody>
<tr><th scope="row"><a href="/api/v1/status"><code>GET /api/v1/status</code></a></th><td>what this replica watches, knows and delivers</td></tr>
<tr><th scope="row"><a href="/api/v1/ring"><code>GET /api/v1/ring</code></a></th><td>who shares the work</td></tr>
<tr><th scope="row"><a href="/api/v1/owner?id=_cluster/v1/Namespace/default"><code>GET /api/v1/owner?id=_cluster/v1/Namespace/default</code></a></th><td>which replica sends one object</td></tr>
<tr><th scope="row"><code>POST /api/v1/resync</code></th><td>send everything again, or one resource or namespace</td></tr>
<tr><th scope="row"><code>POST /api/v1/verify</code></th><td>hold what all replicas know against the cluster</td></tr>
<tr><th scope="row"><a href="/api/v1/verify"><code>GET /api/v1/verify</code></a></th><td>running and recent verifications</td></tr>
<tr><th scope="row"><a href="/api/v1/resync"><code>GET /api/v1/resync</code></a></th><td>running and recent resyncs</td></tr>
</tbody>
</table>
</div>

<h2>Start a resync</h2>
<pre tabindex="0"><code>curl -X POST http://localhost:8082/api/v1/resync
curl -X POST 'http://localhost:8082/api/v1/resync?resource=deployments.apps&amp;namespace=default&amp;wait=false'</code></pre>
`
