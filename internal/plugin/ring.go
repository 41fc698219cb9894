package plugin

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// briefly is how long views may disagree while members come and go, before that counts as a problem. It is twice
// the default lease duration, after which the others give a dead member up.
const briefly = 30 * time.Second

// look is one replica's answer about itself and the ring.
type look struct {
	// Name is the name of the replica.
	Name string `json:"name"`
	// Error is why it does not answer, empty when it does.
	Error string `json:"error,omitempty"`
	// Status is absent where only the ring is asked for, and without an answer.
	Status *api.Status `json:"status,omitempty"`
	// Ring is absent without an answer.
	Ring *api.Ring `json:"ring,omitempty"`

	now time.Time // by the replica's clock
}

// since is how long ago a moment of the replica's clock is.
func (l *look) since(t time.Time) string { return age(l.now.Sub(t)) }

// looks asks all replicas for status and ring, and orders them by name.
func looks(ctx context.Context, f *fleet) []look {
	all := each(ctx, f, func(ctx context.Context, r *replica) look {
		l := look{Name: r.name}
		status, err := get[api.Status](ctx, r, "/api/v1/status")
		if err != nil {
			l.Error = oneLine(err.Error())
			return l
		}
		l.now = status.StartedAt.Add(seconds(status.UptimeSeconds))
		ring, err := get[api.Ring](ctx, r, "/api/v1/ring")
		if err != nil {
			l.Error = oneLine(err.Error())
			return l
		}
		l.Status, l.Ring = &status, &ring
		return l
	})
	slices.SortStableFunc(all, func(x, y look) int { return strings.Compare(x.Name, y.Name) })
	return all
}

// member is one member of the ring as all replicas that answer see it.
type member struct {
	api.Member
	// Answers is false for a replica that did not answer, or could not be asked.
	Answers bool `json:"answers"`
	// States are, by state, the replicas that see the member in it; more than one state is a disagreement.
	States map[api.MemberState][]string `json:"states"`
}

// ringReport is the output of kubectl vectordb-sync ring.
type ringReport struct {
	Release    *release `json:"release,omitempty"`
	Name       string   `json:"name"`
	Format     string   `json:"format"`
	Partitions int      `json:"partitions"`
	// Agreed is true when every replica that answers says so.
	Agreed  bool     `json:"agreed"`
	Members []member `json:"members"`
	// Replicas are the answers themselves.
	Replicas []look `json:"replicas"`
	findings
}

func (r ringReport) items() (rows any, names []string) {
	for _, m := range r.Members {
		names = append(names, "pod/"+m.Name)
	}
	return r.Members, names
}

func newRingReport(r *release, all []look) ringReport {
	report := ringReport{Release: r, Replicas: all, Members: []member{}, findings: newFindings()}
	for _, l := range all {
		if l.Ring != nil {
			report.Name, report.Format, report.Partitions = l.Ring.Name, l.Ring.Format, l.Ring.Partitions
			report.Agreed = true
			break
		}
	}
	for _, l := range all {
		if l.Ring != nil && !l.Ring.Agreed {
			report.Agreed = false
		}
	}
	report.Members = mergeMembers(all)
	report.ring(all, report.Members)
	return report
}

// mergeMembers puts the replicas' answers about each member side by side. A member knows itself best. If it does
// not answer, the replica with the latest news of it does.
func mergeMembers(all []look) []member {
	merged := make(map[string]*member)
	for _, l := range all {
		if l.Ring == nil {
			continue
		}
		for _, m := range l.Ring.Members {
			known := merged[m.Name]
			if known == nil {
				known = &member{Member: m, States: make(map[api.MemberState][]string)}
				merged[m.Name] = known
			}
			known.States[m.State] = append(known.States[m.State], l.Name)
			known.Answers = known.Answers || m.Self
			if m.Self || !known.Self && m.HeartbeatAgeSeconds < known.HeartbeatAgeSeconds {
				known.Member = m
			}
		}
	}
	members := make([]member, 0, len(merged))
	for _, name := range slices.Sorted(maps.Keys(merged)) {
		members = append(members, *merged[name])
	}
	return members
}

// ring adds problems of the ring, and the replicas that do not answer.
func (f *findings) ring(all []look, members []member) {
	answers := 0
	for _, l := range all {
		if l.Error != "" {
			f.problem("%s does not answer: %s", l.Name, l.Error)
			continue
		}
		answers++
		f.ringOf(l)
	}
	if answers == 0 {
		return
	}
	for _, m := range members {
		f.member(m, all)
	}
}

// ringOf adds the problems that one replica reports of its ring.
func (f *findings) ringOf(l look) {
	r := l.Ring
	switch {
	case r.Error != "":
		f.problem("%s cannot build a ring: %s", l.Name, r.Error)
	case !r.Agreed && r.DisagreementSince != nil && l.now.Sub(*r.DisagreementSince) >= briefly:
		f.problem("%s has seen no agreement on the ring for %s: changes of partitions that change hands wait", l.Name, l.since(*r.DisagreementSince))
	case !r.Agreed:
		f.note("%s sees the ring change", l.Name)
	}
	if r.Fenced {
		f.problem("%s sends nothing: it could not renew its Lease", l.Name)
	}
	if r.OrphanedPartitions > 0 {
		f.problem("%s sees %s that nobody claims: their changes wait", l.Name, count(r.OrphanedPartitions, "partition"))
	}
	if r.Conflicts > 0 {
		f.note("%s waits for %s that another member still claims", l.Name, count(r.Conflicts, "partition"))
	}
}

// member adds the problems of one member.
func (f *findings) member(m member, all []look) {
	live := m.State != api.MemberGone
	switch {
	case len(m.States) > 1:
		var says []string
		for _, s := range slices.Sorted(maps.Keys(m.States)) {
			says = append(says, fmt.Sprintf("%s says %s", strings.Join(m.States[s], ", "), s))
		}
		f.note("replicas differ on %s: %s", m.Name, strings.Join(says, "; "))
	case m.State == api.MemberSilent:
		f.problem("%s has not renewed its Lease for %s and sends nothing; its share is taken over when the Lease expires",
			m.Name, age(seconds(m.HeartbeatAgeSeconds)))
	case m.State == api.MemberMissing:
		f.problem("%s is missing: somebody deleted its Lease while it was live", m.Name)
	}
	if live && m.Format != "" {
		f.note("%s works with ring format %s, and is in a ring of its own until the rollout is over", m.Name, m.Format)
	}
	if live && !m.Answers && !slices.ContainsFunc(all, func(l look) bool { return l.Name == m.Name }) {
		f.note("%s is in the ring and was not asked", m.Name)
	}
}

func (r *ringReport) table(w io.Writer, wide bool) {
	state := "agreed"
	if !r.Agreed {
		state = "not agreed"
	}
	if r.Format != "" {
		live := 0
		for _, m := range r.Members {
			if m.State != api.MemberGone {
				live++
			}
		}
		fmt.Fprintf(w, "Ring %s: %s, %s, %s\n\n", oneLine(orNone(r.Name)), count(live, "member"), count(r.Partitions, "partition"), state)
	}
	t := table{columns: []string{"MEMBER", "STATE", "HEARTBEAT", "SHARE", "PARTITIONS", "CLAIMS", "ANSWERS", "+FORMAT", "+VIEW"}}
	for _, m := range r.Members {
		states := make([]string, 0, len(m.States))
		for _, s := range slices.Sorted(maps.Keys(m.States)) {
			states = append(states, string(s))
		}
		format := m.Format
		if format == "" {
			format = r.Format
		}
		t.add(m.Name, strings.Join(states, "/"), age(seconds(m.HeartbeatAgeSeconds)), percent(m.Share), fmt.Sprint(m.Partitions),
			fmt.Sprint(m.Claims), yes(m.Answers), format, orNone(strings.Join(m.View, ",")))
	}
	for _, l := range r.Replicas {
		if l.Error != "" && !slices.ContainsFunc(r.Members, func(m member) bool { return m.Name == l.Name }) {
			t.add(l.Name, none, none, none, none, none, "no", none, none)
		}
	}
	t.write(w, wide)
	r.write(w)
}

func newRing(c *connection, out io.Writer) *cobra.Command {
	var format output
	cmd := &cobra.Command{
		Use:   "ring",
		Short: "Show who shares the work",
		Long: "Show the members of the ring as all replicas see them: the state and the heartbeat of each, its share, and whether\n" +
			"all agree. The exit code is 1 when something is wrong.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := c.fleet(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer f.close()
			report := newRingReport(f.release, looks(cmd.Context(), f))
			for i := range report.Replicas {
				report.Replicas[i].Status = nil
			}
			if err := format.render(out, report, report.table); err != nil {
				return err
			}
			return report.verdict()
		},
	}
	format.addFlag(cmd.Flags())
	return cmd
}
