package api

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// colours is how many the style sheet has; members beyond share them.
const colours = 8

// ringPage is the data of web/ring.html.
type ringPage struct {
	frame
	Ring        Ring
	Self        string // name of the replica that answers
	At          string
	Working     int // members with a share
	WorkingWord string
	Picture     string // what the picture shows, in words
	Verdict     verdict
	Problems    []string
	Arcs        []arc
	Rows        []row
	Choices     []link
}

// verdict is the one sentence that people came for.
type verdict struct{ Class, Text string }

// arc is a member's part of the circle, in thousandths, clockwise from the top.
type arc struct {
	Colour        int
	Start, Length string
	Label         string
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

// newRingPage turns a ring into what the page shows of it.
func newRingPage(r Ring, refresh int, now time.Time) ringPage {
	p := ringPage{frame: newFrame("Ring", "/ring"), Ring: r, At: now.UTC().Format(time.RFC3339), WorkingWord: "members"}
	p.Refresh = refresh
	for _, c := range []struct {
		name    string
		seconds int
	}{{"off", 0}, {"every 5 s", 5}, {"every 30 s", 30}} {
		l := link{Name: c.name, Path: "/ring", Here: c.seconds == refresh}
		if c.seconds > 0 {
			l.Path += "?refresh=" + strconv.Itoa(c.seconds)
		}
		p.Choices = append(p.Choices, l)
	}
	var view []string
	for _, m := range r.Members {
		if m.Self {
			p.Self, view = m.Name, m.View
		}
	}
	p.addMembers(r.Members, view)
	p.Verdict = judge(r, p.Working, now)
	if r.OrphanedPartitions > 0 {
		p.Problems = append(p.Problems, count(r.OrphanedPartitions, "partition")+" without a claim: changes to their objects wait until a member claims them.")
	}
	if r.Conflicts > 0 {
		p.Problems = append(p.Problems, count(r.Conflicts, "partition")+" with more than one claim: nobody sends their objects until all but one member withdraw.")
	}
	return p
}

// addMembers fills in the table and the picture; view is that of the replica that answers.
func (p *ringPage) addMembers(members []Member, view []string) {
	start := 0.0
	var parts []string
	for _, m := range members {
		line := row{
			Name: m.Name, Self: m.Self, State: m.State, StateClass: stateClass(m.State), Swatch: "none",
			Heartbeat: duration(time.Duration(m.HeartbeatAgeSeconds*float64(time.Second))) + " ago",
			Share:     percent(m.Share), Partitions: m.Partitions, Claims: m.Claims,
			View: difference(view, m.View),
		}
		if m.Share > 0 {
			colour := p.Working % colours
			line.Swatch = "s" + strconv.Itoa(colour)
			label := m.Name + " " + percent(m.Share)
			parts = append(parts, label)
			// A sliver is left open between neighbours, so that equal colours do not run together.
			length := max(m.Share*1000-3, 1)
			if m.Share >= 1 {
				length = 1000
			}
			p.Arcs = append(p.Arcs, arc{Colour: colour, Start: tenths(start), Length: tenths(length), Label: label})
			start += m.Share * 1000
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

// judge says whether all is well.
func judge(r Ring, working int, now time.Time) verdict {
	switch {
	case len(r.Members) == 0:
		return verdict{"warn", "There is no ring yet: this replica is still joining."}
	case !r.Agreed && r.DisagreementSince != nil:
		return verdict{"bad", "The members have disagreed for " + duration(now.Sub(*r.DisagreementSince)) +
			". During a change of members this lasts for a moment; for longer than a lease duration it needs a person."}
	case !r.Agreed:
		return verdict{"bad", "The members disagree."}
	case working == 1:
		return verdict{"good", "One member does all the work."}
	default:
		return verdict{"good", fmt.Sprintf("All %d members agree, and each partition has exactly one claim.", working)}
	}
}

func stateClass(s MemberState) string {
	switch s {
	case MemberActive:
		return "good"
	case MemberJoining, MemberLeaving, MemberForeign:
		return "warn"
	case MemberSilent, MemberDead:
		return "bad"
	default:
		return "quiet"
	}
}

// difference says how a member's view differs from that of the replica that answers.
func difference(ours, theirs []string) string {
	if len(theirs) == 0 {
		return "none"
	}
	var diff []string
	for _, m := range theirs {
		if !slices.Contains(ours, m) {
			diff = append(diff, "with "+m)
		}
	}
	for _, m := range ours {
		if !slices.Contains(theirs, m) {
			diff = append(diff, "without "+m)
		}
	}
	if len(diff) == 0 {
		return "the same " + count(len(theirs), "member")
	}
	return strings.Join(diff, ", ")
}

// tenths writes a length without the noise of floating point.
func tenths(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }
