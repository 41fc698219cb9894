package api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// statusPage is the content of the page about the fleet; statusmarkup.go writes it.
type statusPage struct {
	frame
	Member, At string
	Verdict    verdict
	Receivers  []receiverPart
	Reading    verdict  // how the reading of the cluster goes
	Unread     []unread // types that cannot be read
	Verified   string   // since when the index has been compared with lists
	Notes      []string // further things to know about the filters
	Choices    []link   // ways to refresh the page
	now        time.Time
}

// receiverPart is the part of one receiver.
type receiverPart struct {
	Name, Endpoint, Format string
	Verdict                verdict
	Notices                []todo
	Rows                   []shareRow
	Refused                []Quarantined
	RefusedElsewhere       int
}

// todo is a trouble that a person has to know, a remedy, and perhaps the command for it.
type todo struct {
	verdict

	Advice, Command string
}

// shareRow is a line of a receiver's table.
type shareRow struct {
	Member            string
	Self              bool
	State, StateClass string
	Waiting, Refused  int
	Behind, LastSync  string
}

// unread is a line of the table of types that cannot be read.
type unread struct{ Name, Since, Error string }

func newStatusPage(f Fleet, refresh int, now time.Time) statusPage {
	p := statusPage{frame: newFrame("Status", "/status"), Member: f.Member, At: now.UTC().Format(time.RFC3339), now: now}
	p.Refresh, p.Choices = refresh, refreshChoices("/status", refresh)
	worst := "good"
	for _, r := range f.Receivers {
		part := p.receiver(r)
		p.Receivers = append(p.Receivers, part)
		worst = worse(worst, part.Verdict.Class)
		for _, n := range part.Notices {
			worst = worse(worst, n.Class)
		}
	}
	p.read(f)
	worst = worse(worst, p.Reading.Class)
	p.Verdict = fleetVerdict(f, worst)
	return p
}

// severity orders the classes of verdicts.
var severity = []string{"good", "warn", "bad"}

func worse(a, b string) string {
	if slices.Index(severity, b) > slices.Index(severity, a) {
		return b
	}
	return a
}

// fleetVerdict is the sentence for which people open the page.
func fleetVerdict(f Fleet, worst string) verdict {
	switch {
	case f.Phase == PhaseStopping:
		return verdict{"warn", "This replica is stopping; ask another one."}
	case !f.Ready:
		return verdict{"warn", "This replica is starting: it has not read everything yet."}
	case len(f.Receivers) == 0:
		return verdict{"warn", "There is no receiver: nothing is sent anywhere."}
	case worst == "good":
		return verdict{"good", "All is well: every receiver is in step with the cluster."}
	case worst == "warn":
		return verdict{"warn", "Work is under way, or something deserves a look. Nothing is lost."}
	default:
		return verdict{"bad", "Something needs a person; it is marked below. Nothing is lost: what is not delivered is kept."}
	}
}

// sums are sums over all members.
type sums struct {
	dirty, refused, down, first, silent int
	since, lastSync                     time.Time
}

func sumOf(shares []FleetShare) (s sums) {
	for _, m := range shares {
		s.dirty += m.Dirty
		s.refused += m.Quarantined
		for _, c := range []struct {
			is bool
			n  *int
		}{{m.Down, &s.down}, {m.FirstSync, &s.first}, {m.Silent, &s.silent}} {
			if c.is {
				*c.n++
			}
		}
		if !m.DirtySince.IsZero() && (s.since.IsZero() || m.DirtySince.Before(s.since)) {
			s.since = m.DirtySince
		}
		if m.LastSync.After(s.lastSync) {
			s.lastSync = m.LastSync
		}
	}
	return s
}

// lagging is how long changes may wait before a warning: longer than any debounce window by default.
const lagging = 2 * time.Minute

func (p *statusPage) receiver(r FleetReceiver) receiverPart {
	s := sumOf(r.Shares)
	part := receiverPart{Name: r.Name, Endpoint: r.Endpoint, Format: r.Format, Refused: r.Quarantined}
	part.Verdict = p.verdict(s, len(r.Shares))
	for _, m := range r.Shares {
		part.Rows = append(part.Rows, p.row(m))
		if !m.Self {
			part.RefusedElsewhere += m.Quarantined
		}
	}
	part.Notices = troubles(r, s)
	return part
}

// verdict says in one sentence how a receiver is.
func (p *statusPage) verdict(s sums, members int) verdict {
	behind := ""
	if !s.since.IsZero() {
		behind = ", the oldest for " + duration(p.now.Sub(s.since))
	}
	switch {
	case s.down > 0:
		return verdict{"bad", fmt.Sprintf("It takes nothing from %d of %s. %s waiting%s.", s.down, count(members, "replica"), isAre(s.dirty), behind)}
	case s.first > 0:
		return verdict{"warn", fmt.Sprintf("The first sync is under way. %s waiting%s.", isAre(s.dirty), behind)}
	case s.dirty > 0 && p.now.Sub(s.since) > lagging:
		return verdict{"warn", fmt.Sprintf("Behind: %s waiting%s.", isAre(s.dirty), behind)}
	case s.dirty > 0:
		return verdict{"good", fmt.Sprintf("Following: %s waiting%s.", isAre(s.dirty), behind)}
	case s.lastSync.IsZero():
		return verdict{"good", "In step; nothing has had to be sent since the start."}
	default:
		return verdict{"good", fmt.Sprintf("In step since %s, for %s.", s.lastSync.UTC().Format(time.RFC3339), duration(p.now.Sub(s.lastSync)))}
	}
}

func isAre(n int) string {
	if n == 1 {
		return "1 object is"
	}
	return fmt.Sprintf("%d objects are", n)
}

func (p *statusPage) row(m FleetShare) shareRow {
	row := shareRow{Member: m.Member, Self: m.Self, State: "in step", StateClass: "good", Waiting: m.Dirty, Refused: m.Quarantined, Behind: "–", LastSync: "never"}
	if !m.DirtySince.IsZero() {
		row.Behind = duration(p.now.Sub(m.DirtySince))
	}
	if !m.LastSync.IsZero() {
		row.LastSync = duration(p.now.Sub(m.LastSync)) + " ago"
	}
	switch {
	case m.Silent:
		row.State, row.StateClass, row.LastSync = "not heard of yet", "warn", "–"
	case m.Down:
		row.State, row.StateClass = "backing off", "bad"
	case m.FirstSync:
		row.State, row.StateClass = "first sync", "warn"
	case m.Dirty > 0:
		row.State, row.StateClass = "sending", "good"
	}
	return row
}

// troubles are the troubles of a receiver, worst first, with their remedies.
func troubles(r FleetReceiver, s sums) (all []todo) {
	said := make(map[string]bool)
	for _, m := range r.Shares {
		if m.Down && !said[m.Reason] {
			said[m.Reason] = true
			all = append(all, todo{verdict{"bad", m.Member + " says: " + m.Reason}, m.Advice, ""})
		}
	}
	for _, h := range r.HeldRepairs {
		all = append(all, todo{
			verdict{"bad", fmt.Sprintf("Held: %d documents of %s seem to have no object, says the %s. At most %d may go unasked.", h.Documents, h.Resource, h.Source, h.Limit)},
			"Look whether the documents are another cluster's. If they are to go:",
			"kubectl vectordb-sync resync --resource " + h.Resource + " --force",
		})
	}
	if s.refused > 0 {
		all = append(all, todo{
			verdict{"warn", fmt.Sprintf("Refused: the receiver does not take %s, whatever is tried.", count(s.refused, "object"))},
			"See the reasons below and the receiver's log. Each is tried again when it changes and at a resync:",
			"kubectl vectordb-sync resync",
		})
	}
	if len(r.UnknownDeletions) > 0 {
		all = append(all, todo{
			verdict{"warn", "Deletions may have been missed while no replica ran, of " + names(r.UnknownDeletions) + "."},
			"Documents of what was deleted then may be left. To be sure, empty the receiver and order a resync.", "",
		})
	}
	return all
}

// names lists the first few names.
func names(all []string) string {
	const most = 5
	text := strings.Join(all[:min(most, len(all))], ", ")
	if more := len(all) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// read fills in the part about reading the cluster.
func (p *statusPage) read(f Fleet) {
	var oldest time.Time
	for _, t := range f.Types {
		if t.Phase == TypeFailing {
			p.Unread = append(p.Unread, unread{t.Name, duration(p.now.Sub(t.Since)), t.Error})
		}
		if t.VerifiedAt != nil && (oldest.IsZero() || t.VerifiedAt.Before(oldest)) {
			oldest = *t.VerifiedAt
		}
	}
	for _, g := range f.Discovery.Failed {
		p.Unread = append(p.Unread, unread{g.GroupVersion, "–", g.Error})
	}
	slices.SortStableFunc(p.Unread, func(a, b unread) int { return cmp.Compare(a.Name, b.Name) })
	if !oldest.IsZero() {
		p.Verified = "Each type was held against a complete list within the last " + duration(p.now.Sub(oldest)) + "."
	}
	if len(f.Discovery.Unknown) > 0 {
		p.Notes = append(p.Notes, "The filters name what the cluster does not have: "+names(f.Discovery.Unknown)+".")
	}
	read := fmt.Sprintf("%s of %s", count(f.Objects, "object"), count(len(f.Types), "type"))
	switch {
	case len(p.Unread) > 0:
		p.Reading = verdict{"warn", fmt.Sprintf("%d types or groups cannot be read. Changes of them are not seen, and nothing of them is deleted. Of the rest, %s are known.",
			len(p.Unread), read)}
	case !f.Discovery.Complete || !f.Ready:
		p.Reading = verdict{"warn", "Not everything has been read yet; " + read + " so far."}
	default:
		p.Reading = verdict{"good", "Everything that is wanted is read: " + read + "."}
	}
}
