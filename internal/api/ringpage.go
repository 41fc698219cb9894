package api

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// colours is how many colours the style sheet has; further members share them.
const colours = 8

// ringPage is the content of the page about the ring; ringmarkup.go writes it.
type ringPage struct {
	frame
	Ring        Ring
	Self        string // name of the replica that answers
	At          string
	Working     int // members with a share
	WorkingWord string
	Picture     string // describes the picture in words
	Verdict     verdict
	Notices     []verdict // further things to know
	Arcs        []arc
	Rows        []row
	Choices     []link
}

// verdict is a sentence, and how bad its news is. The first one on the page answers the question of most readers.
type verdict struct{ Class, Text string }

// arc is a member's part of the circle.
type arc struct {
	Colour int
	Path   string // empty for the whole circle, which a path cannot draw
	Label  string
}

// row is a line of the table.
type row struct {
	Name, Swatch           string
	Self                   bool
	State                  MemberState
	StateClass             string
	Heartbeat, Share, View string
	Partitions, Claims     int
}

// newRingPage turns a ring into the content of its page.
func newRingPage(r Ring, refresh int, now time.Time) ringPage {
	p := ringPage{frame: newFrame("Ring", "/ring"), Ring: r, At: now.UTC().Format(time.RFC3339), WorkingWord: "members"}
	p.Refresh = refresh
	p.Choices = refreshChoices("/ring", refresh)
	var view []string
	for _, m := range r.Members {
		if m.Self {
			p.Self, view = m.Name, m.View
		}
	}
	p.addMembers(r, view)
	p.Verdict = judge(r, p.Working, now)
	p.Notices = notices(r)
	return p
}

// notices are the things that an operator has to know beside the verdict.
func notices(r Ring) (all []verdict) {
	if r.Fenced {
		all = append(all, verdict{"bad", "This replica is fenced: it sends nothing because its Lease could not be renewed in time."})
	}
	if r.OrphanedPartitions > 0 {
		all = append(all, verdict{"bad", fmt.Sprintf("Partitions without a claim: %d. Changes of their objects wait until a member claims them.", r.OrphanedPartitions)})
	}
	if r.Conflicts > 0 {
		all = append(all, verdict{"warn", fmt.Sprintf("Partitions of this replica that another one claims, too: %d. "+
			"They wait until one of the two withdraws, as in every handoff.", r.Conflicts)})
	}
	return all
}

// addMembers fills in the table and the picture; view is the view of the replica that answers.
func (p *ringPage) addMembers(r Ring, view []string) {
	start := 0.0
	var parts []string
	for _, m := range r.Members {
		line := row{
			Name: m.Name, Self: m.Self, State: m.State, StateClass: stateClass(m.State), Swatch: "none",
			Heartbeat: duration(time.Duration(m.HeartbeatAgeSeconds*float64(time.Second))) + " ago",
			Share:     percent(m.Share), Partitions: m.Partitions, Claims: m.Claims,
			View: difference(r.Format, view, m),
		}
		if m.Share > 0 {
			colour := p.Working % colours
			line.Swatch = "s" + strconv.Itoa(colour)
			label := m.Name + " " + percent(m.Share)
			parts = append(parts, label)
			p.Arcs = append(p.Arcs, arc{Colour: colour, Path: arcPath(start, m.Share), Label: label})
			start += m.Share
			p.Working++
		}
		p.Rows = append(p.Rows, line)
	}
	if p.Working == 1 {
		p.WorkingWord = "member"
	}
	p.Picture = "Nobody has a share yet."
	if len(parts) > 0 {
		p.Picture = "Shares: " + strings.Join(parts, ", ") + "."
	}
}

// judge says in one sentence whether the ring is well.
func judge(r Ring, working int, now time.Time) verdict {
	switch {
	case r.Error != "":
		return verdict{"bad", "There is no ring: " + r.Error + "."}
	case len(r.Members) == 0:
		return verdict{"warn", "There is no ring yet: this replica is still joining."}
	case !r.Agreed && r.DisagreementSince != nil:
		return verdict{"bad", "The members have not agreed for " + duration(now.Sub(*r.DisagreementSince)) +
			". During a change of members this lasts for a moment; for longer than a lease duration it needs a person."}
	case !r.Agreed:
		return verdict{"bad", "The members disagree."}
	case working == 0:
		return verdict{"warn", "No member has a share yet."}
	case working == 1:
		return verdict{"good", "One member does all the work."}
	default:
		return verdict{"good", fmt.Sprintf("All %d members agree, and every partition is claimed.", working)}
	}
}

func stateClass(s MemberState) string {
	switch s {
	case MemberWorking:
		return "good"
	case MemberWaiting:
		return "warn"
	case MemberSilent, MemberMissing:
		return "bad"
	case MemberGone:
		return "quiet"
	default:
		return "quiet"
	}
}

// difference says how a member's view differs from that of the replica that answers.
func difference(format string, ours []string, m Member) string {
	switch {
	case m.State == MemberGone:
		return "does not count"
	case m.Format != "" && m.Format != format:
		return "another ring, " + m.Format
	case len(m.View) == 0:
		return "none yet"
	}
	var diff []string
	for _, name := range m.View {
		if !slices.Contains(ours, name) {
			diff = append(diff, "with "+name)
		}
	}
	for _, name := range ours {
		if !slices.Contains(m.View, name) {
			diff = append(diff, "without "+name)
		}
	}
	const most = 4 // after a large ring was scaled, the list would have every name
	switch more := len(diff) - most; {
	case len(diff) == 0:
		return "the same " + count(len(m.View), "member")
	case more > 0:
		return strings.Join(diff[:most], ", ") + fmt.Sprintf(" and %d more", more)
	default:
		return strings.Join(diff, ", ")
	}
}

// arcPath draws a member's share of the circle, clockwise from the top; the shares before it reach up to start. A
// sliver stays open between neighbours, so that equal colours do not run together.
func arcPath(start, share float64) string {
	const (
		centre, radius = 60.0, 48.0 // as in the circle of ringmarkup.go
		sliver         = 0.003
	)
	if share >= 1 {
		return ""
	}
	share = max(share-sliver, sliver/2)
	point := func(at float64) string {
		sin, cos := math.Sincos(2 * math.Pi * at)
		return strconv.FormatFloat(centre+radius*sin, 'f', 2, 64) + " " + strconv.FormatFloat(centre-radius*cos, 'f', 2, 64)
	}
	large := 0
	if share > 0.5 {
		large = 1
	}
	return fmt.Sprintf("M%s A%g %g 0 %d 1 %s", point(start), radius, radius, large, point(start+share))
}
