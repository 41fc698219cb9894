package api

// markup is the whole page.
func (p statusPage) markup() markup {
	return p.around(`<h1>Status</h1>
<p` + attr("class", "notice "+p.Verdict.Class) + ` role="status">` + text(p.Verdict.Text) + `</p>
` + each(p.Receivers, receiverPart.markup) + p.reading() + statusFooter(p))
}

func (r receiverPart) markup() markup {
	return `
<h2>Receiver <span class="name">` + text(r.Name) + `</span></h2>
<p` + attr("class", "notice "+r.Verdict.Class) + `>` + text(r.Verdict.Text) + `</p>
` + each(r.Notices, todo.markup) + `<dl>
<dt>Endpoint</dt><dd class="name">` + text(r.Endpoint) + `</dd>
<dt>Format</dt><dd>` + text(r.Format) + `</dd>
</dl>
` + r.table() + r.refused()
}

func (n todo) markup() markup {
	return `<div` + attr("class", "notice "+n.Class) + `><p>` + text(n.Text) + `</p>
` + when(n.Advice != "", `<p>`+text(n.Advice)+`</p>
`) + when(n.Command != "", `<p><code>`+text(n.Command)+`</code></p>
`) + `</div>
`
}

func (r receiverPart) table() markup {
	return `<div class="wide" role="region"` + attr("aria-label", "Replicas and "+r.Name) + ` tabindex="0">
<table>
<caption>What each replica has to say of it</caption>
<thead><tr><th scope="col">Replica</th><th scope="col">State</th><th scope="col" class="number">Waiting</th>` +
		`<th scope="col" class="number">Behind for</th><th scope="col" class="number">Refused</th>` +
		`<th scope="col" class="number">Last acknowledged</th></tr></thead>
<tbody>
` + each(r.Rows, shareRow.markup) + `</tbody>
</table>
</div>
`
}

func (s shareRow) markup() markup {
	return `<tr>
<th scope="row"><span class="name">` + text(s.Member) + `</span>` + when(s.Self, ` <span class="badge quiet">this replica</span>`) + `</th>
<td><span` + attr("class", "badge "+s.StateClass) + `>` + text(s.State) + `</span></td>
<td class="number">` + number(s.Waiting) + `</td>
<td class="number">` + text(s.Behind) + `</td>
<td class="number">` + number(s.Refused) + `</td>
<td class="number">` + text(s.LastSync) + `</td>
</tr>
`
}

// refused lists the objects that the receiver has refused from this replica.
func (r receiverPart) refused() markup {
	elsewhere := when(r.RefusedElsewhere > 0, `<p class="soft">`+text(count(r.RefusedElsewhere, "object"))+
		` more at other replicas, whose own pages name them.</p>
`)
	if len(r.Refused) == 0 {
		return elsewhere
	}
	return `<div class="wide" role="region"` + attr("aria-label", "Refused by "+r.Name) + ` tabindex="0">
<table>
<caption>Refused objects of this replica, oldest first</caption>
<thead><tr><th scope="col">Object</th><th scope="col">Reason</th></tr></thead>
<tbody>
` + each(r.Refused, func(q Quarantined) markup {
		return `<tr><th scope="row"><span class="name">` + text(q.ID) + `</span></th><td>` + text(q.Reason) + "</td></tr>\n"
	}) + `</tbody>
</table>
</div>
` + elsewhere
}

// reading is the part about the types that are read of the cluster.
func (p statusPage) reading() markup {
	return `
<h2>The cluster</h2>
<p` + attr("class", "notice "+p.Reading.Class) + `>` + text(p.Reading.Text) + `</p>
` + when(p.Verified != "", `<p>`+text(p.Verified)+`</p>
`) + each(p.Notes, func(n string) markup { return `<p>` + text(n) + "</p>\n" }) + p.unread()
}

func (p statusPage) unread() markup {
	if len(p.Unread) == 0 {
		return ""
	}
	return `<p>Grant the controller's ServiceAccount list and watch on what is forbidden; mend the API or the conversion webhook of what fails.</p>
<div class="wide" role="region" aria-label="What cannot be read" tabindex="0">
<table>
<caption>What cannot be read</caption>
<thead><tr><th scope="col">Type or group</th><th scope="col" class="number">For</th><th scope="col">Reason</th></tr></thead>
<tbody>
` + each(p.Unread, func(u unread) markup {
		return `<tr><th scope="row"><span class="name">` + text(u.Name) + `</span></th><td class="number">` + text(u.Since) + `</td><td>` + text(u.Error) + "</td></tr>\n"
	}) + `</tbody>
</table>
</div>
`
}

func statusFooter(p statusPage) markup {
	return `
<footer>
<p>As <span class="name">` + text(p.Member) + `</span> knows it at <time` + attr("datetime", p.At) + `>` + text(p.At) + `</time>. What other replicas
say may be ten seconds old. Refresh: <span class="choices">` + each(p.Choices, link.choice) + `</span></p>
<p>Who shares the work: <a href="/ring">the ring</a>. This replica alone, for programs: <a href="/api/v1/status">JSON</a>.</p>
</footer>
`
}
