package api

import "strconv"

// markup is the whole page, from the verdict to the small print.
func (p ringPage) markup() markup {
	return p.around(p.verdicts() + "\n" + p.overview() + "\n" + p.table() + "\n" + ringFooter)
}

func (p ringPage) verdicts() markup {
	return `<h1>Ring ` + text(p.Ring.Name) + `</h1>
<p` + attr("class", "notice "+p.Verdict.Class) + ` role="status">` + text(p.Verdict.Text) + `</p>
` + each(p.Notices, func(v verdict) markup {
		return `<p` + attr("class", "notice "+v.Class) + `>` + text(v.Text) + "</p>\n"
	})
}

func (p ringPage) overview() markup {
	return `<div class="ring">
` + p.circle() + `<dl>
<dt>Seen by</dt><dd class="name">` + text(p.Self) + `</dd>
<dt>Partitions</dt><dd>` + number(p.Ring.Partitions) + `, ` + number(p.Ring.OrphanedPartitions) + ` of them without a claim</dd>
<dt>Ring format</dt><dd class="name">` + text(p.Ring.Format) + `</dd>
<dt>At</dt><dd><time` + attr("datetime", p.At) + `>` + text(p.At) + `</time></dd>
<dt>Refresh</dt><dd class="choices">` + each(p.Choices, link.choice) + `</dd>
</dl>
</div>
`
}

// circle is the picture. Its centre and its radius are those of arcPath.
func (p ringPage) circle() markup {
	return `<svg viewBox="0 0 120 120" role="img" aria-labelledby="picture">
<title id="picture">` + text(p.Picture) + `</title>
<circle class="track" cx="60" cy="60" r="48"/>
` + each(p.Arcs, arc.markup) +
		`<text x="60" y="64">` + number(p.Working) + `</text>
<text class="caption" x="60" y="77">` + text(p.WorkingWord) + `</text>
</svg>
`
}

func (a arc) markup() markup {
	class, title := attr("class", "s"+strconv.Itoa(a.Colour)), "<title>"+text(a.Label)+"</title>"
	if a.Path == "" {
		return `<circle` + class + ` cx="60" cy="60" r="48">` + title + "</circle>\n"
	}
	return `<path` + class + attr("d", a.Path) + `>` + title + "</path>\n"
}

// choice is a way to refresh the page: a link, unless it is the current choice.
func (l link) choice() markup {
	if l.Here {
		return `<strong aria-current="true">` + text(l.Name) + `</strong> `
	}
	return `<a` + attr("href", l.Path) + `>` + text(l.Name) + `</a> `
}

func (p ringPage) table() markup {
	rows := each(p.Rows, row.markup)
	if len(p.Rows) == 0 {
		rows = `<tr><td colspan="7">No member has a Lease yet.</td></tr>` + "\n"
	}
	return `<div class="wide" role="region" aria-label="Members" tabindex="0">
<table>
<caption>Members, as their Leases say and as this replica's ring gives</caption>
<thead><tr><th scope="col">Member</th><th scope="col">State</th><th scope="col" class="number">Heartbeat</th>` +
		`<th scope="col" class="number">Share</th><th scope="col" class="number">Partitions</th>` +
		`<th scope="col" class="number">Claims</th><th scope="col">View</th></tr></thead>
<tbody>
` + rows + `</tbody>
</table>
</div>
`
}

func (r row) markup() markup {
	return `<tr>
<th scope="row"><svg class="dot" viewBox="0 0 10 10" aria-hidden="true"><circle` + attr("class", r.Swatch) + ` cx="5" cy="5" r="4"/></svg>` +
		`<span class="name">` + text(r.Name) + `</span>` + when(r.Self, ` <span class="badge quiet">this replica</span>`) + `</th>
<td><span` + attr("class", "badge "+r.StateClass) + `>` + text(string(r.State)) + `</span></td>
<td class="number">` + text(r.Heartbeat) + `</td>
<td class="number">` + text(r.Share) + `</td>
<td class="number">` + number(r.Partitions) + `</td>
<td class="number">` + number(r.Claims) + `</td>
<td>` + text(r.View) + `</td>
</tr>
`
}

const ringFooter markup = `<footer>
<p>A member may send what it claims, once every other live member has stopped claiming it. Heartbeat is how long ago this replica saw the
member's Lease change; view is the list of members that a replica works under. The same as <a href="/api/v1/ring">JSON</a>.</p>
</footer>
`
