package plugin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// named is how many refused objects of one receiver a text names. JSON and YAML have all that the replicas name.
const named = 5

// receiverReport is one receiver as all replicas together see it.
type receiverReport struct {
	Name     string `json:"name"`
	Endpoint string `json:"endpoint"`
	Format   string `json:"format"`
	// Delivering and BackingOff are the replicas in these states, by name.
	Delivering []string `json:"delivering"`
	BackingOff []string `json:"backingOff"`
	// Dirty, InFlight, Unknown, Quarantined, Upserts and Deletes are sums over the replicas that answer.
	Dirty       int    `json:"dirty"`
	InFlight    int    `json:"inFlight"`
	Unknown     int    `json:"unknown"`
	Quarantined int    `json:"quarantined"`
	Upserts     uint64 `json:"upserts"`
	Deletes     uint64 `json:"deletes"`
	// OldestDirtySeconds is the greatest value of all replicas: the true lag.
	OldestDirtySeconds float64 `json:"oldestDirtySeconds"`
}

// statusReport is the output of kubectl vectordb-sync status.
type statusReport struct {
	Release *release `json:"release,omitempty"`
	// Receivers are ordered by name.
	Receivers []receiverReport `json:"receivers"`
	// Replicas are the answers, ordered by name.
	Replicas []look `json:"replicas"`
	findings
	members []member
}

func (r statusReport) items() (rows any, names []string) {
	for _, l := range r.Replicas {
		names = append(names, "pod/"+l.Name)
	}
	return r.Replicas, names
}

func newStatusReport(r *release, all []look) statusReport {
	report := statusReport{Release: r, Replicas: all, Receivers: mergeReceivers(all), findings: newFindings(), members: mergeMembers(all)}
	report.ring(all, report.members)
	for _, l := range all {
		if l.Status != nil {
			report.replica(l)
		}
	}
	report.everywhere(all)
	return report
}

func mergeReceivers(all []look) []receiverReport {
	merged := make(map[string]*receiverReport)
	for _, l := range all {
		if l.Status == nil {
			continue
		}
		for _, t := range l.Status.Targets {
			r := merged[t.Name]
			if r == nil {
				r = &receiverReport{Name: t.Name, Endpoint: t.Endpoint, Format: t.Format, Delivering: []string{}, BackingOff: []string{}}
				merged[t.Name] = r
			}
			if t.State == api.TargetDelivering {
				r.Delivering = append(r.Delivering, l.Name)
			} else {
				r.BackingOff = append(r.BackingOff, l.Name)
			}
			r.Dirty += t.Dirty
			r.InFlight += t.InFlight
			r.Unknown += t.Unknown
			r.Quarantined += t.QuarantinedTotal
			r.Upserts += t.Upserts
			r.Deletes += t.Deletes
			r.OldestDirtySeconds = max(r.OldestDirtySeconds, t.OldestDirtySeconds)
		}
	}
	receivers := make([]receiverReport, 0, len(merged))
	for _, name := range slices.Sorted(maps.Keys(merged)) {
		receivers = append(receivers, *merged[name])
	}
	return receivers
}

// replica adds the problems that one replica reports.
func (f *findings) replica(l look) {
	s := l.Status
	switch s.Phase {
	case api.PhaseStarting:
		f.note("%s is starting for %s", l.Name, age(seconds(s.UptimeSeconds)))
	case api.PhaseStopping:
		f.note("%s is stopping", l.Name)
	case api.PhaseSyncing, api.PhaseInSync:
	}
	if len(s.Targets) == 0 {
		f.problem("%s has no receiver: set REST_ENDPOINT", l.Name)
	}
	for _, t := range s.Targets {
		f.target(l, t)
	}
	if last := s.Resync.Last; last != nil && last.Status == api.OperationFailed {
		f.problem("the last resync (%s) on %s failed: %s", last.ID, l.Name, orNone(last.Message))
	} else if last != nil && last.OrphansHeld > 0 {
		f.problem("resync %s on %s holds back the deletion of %s, suspiciously many; look at them, and resync with --force if they are to go",
			last.ID, l.Name, count(last.OrphansHeld, "document"))
	}
}

// target adds the problems that one replica reports of one receiver.
func (f *findings) target(l look, t api.Target) {
	if t.State == api.TargetBackingOff {
		next := ""
		if t.NextAttempt != nil && t.NextAttempt.After(l.now) {
			next = "; next attempt in " + age(t.NextAttempt.Sub(l.now))
		}
		f.problem("receiver %s has been down for %s, says %s: %s (%s wait%s)", t.Name, l.since(t.Since), l.Name, orNone(t.Reason),
			count(t.Dirty, "object"), next)
	}
	if t.QuarantinedTotal > 0 {
		var names []string
		for _, q := range t.Quarantined[:min(len(t.Quarantined), named)] {
			names = append(names, fmt.Sprintf("%s (%s, for %s)", q.ID, q.Reason, l.since(q.Since)))
		}
		if more := t.QuarantinedTotal - len(names); more > 0 {
			names = append(names, fmt.Sprintf("and %d more", more))
		}
		f.problem("receiver %s refuses %s of %s for good: %s", t.Name, count(t.QuarantinedTotal, "object"), l.Name, strings.Join(names, ", "))
	}
	if t.Unknown > 0 {
		f.note("%s repeats the last word of %s to receiver %s after requests without an answer", l.Name, count(t.Unknown, "object"), t.Name)
	}
	if p := t.FirstSync; p != nil && p.Done < p.Total {
		f.note("%s is in its first sync of receiver %s: %d of %d objects", l.Name, t.Name, p.Done, p.Total)
	}
}

// everywhere adds reports that several replicas make alike, once, with the names of these replicas.
func (f *findings) everywhere(all []look) {
	problems, notes := newSayings(), newSayings()
	for _, l := range all {
		if l.Status == nil {
			continue
		}
		if n := unreadable(l.Status.Types); n > 0 {
			notes.add(l.Name, fmt.Sprintf("%s of no namespace are left out, for they take rights in the whole cluster", count(n, "type")), "")
		}
		for _, t := range l.Status.Types {
			if t.Phase == api.TypeFailing {
				problems.add(l.Name, fmt.Sprintf("type %s could not be watched for %s: %s", t.Name, l.since(t.Since), orNone(t.Error)), t.Name+"|"+t.Error)
			}
		}
		for _, t := range l.Status.Targets {
			for _, h := range t.HeldRepairs {
				problems.add(l.Name, fmt.Sprintf("%s holds back the deletion of %s of %s at receiver %s, suspiciously many by the word of the %s; "+
					"look at them, and resync with --force if they are to go", h.Member, count(h.Documents, "document"), h.Resource, t.Name, h.Source), "")
			}
			if len(t.UnknownDeletions) > 0 {
				notes.add(l.Name, fmt.Sprintf("receiver %s may hold documents of what was deleted while no replica ran, of %s",
					t.Name, strings.Join(t.UnknownDeletions, ", ")), "")
			}
		}
		for _, g := range l.Status.Discovery.Failed {
			problems.add(l.Name, fmt.Sprintf("the types of %s cannot be told: %s", g.GroupVersion, orNone(g.Error)), "")
		}
		for _, name := range l.Status.Discovery.Unknown {
			problems.add(l.Name, fmt.Sprintf("%q in the filters matches no type of the cluster: most often a typing mistake", name), "")
		}
		for _, op := range l.Status.Resync.Running {
			notes.add(l.Name, fmt.Sprintf("resync %s runs for %s: %s", op.ID, l.since(op.StartedAt), progressText(op)), op.ID)
		}
	}
	for _, s := range problems.list {
		f.problem("%s (%s)", s.text, strings.Join(s.by, ", "))
	}
	for _, s := range notes.list {
		f.note("%s (%s)", s.text, strings.Join(s.by, ", "))
	}
}

// unreadable counts the types that cannot be expected to be readable.
func unreadable(types []api.TypeStatus) (n int) {
	for _, t := range types {
		if t.Phase == api.TypeUnreadable {
			n++
		}
	}
	return n
}

// sayings collects sentences with the replicas that say each.
type sayings struct {
	list  []*saying
	known map[string]*saying
}

type saying struct {
	text string
	by   []string
}

func newSayings() *sayings { return &sayings{known: make(map[string]*saying)} }

// add adds a sentence. Sentences with one key count as the first of them; an empty key means the sentence itself.
func (s *sayings) add(by, text, key string) {
	if key == "" {
		key = text
	}
	if s.known[key] == nil {
		s.known[key] = &saying{text: text}
		s.list = append(s.list, s.known[key])
	}
	s.known[key].by = append(s.known[key].by, by)
}

func newStatus(c *connection, streams genericiooptions.IOStreams) *cobra.Command {
	var (
		format output
		again  bool
		pause  time.Duration
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show whether all is well, and what is on its way",
		Long: "Show what every replica does, how far each receiver is behind, and in plain words what is wrong. The exit code is 1\n" +
			"when something is. With --watch it is shown again and again, until it is interrupted.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := watcher{connection: c, streams: streams, format: format}
			defer w.close()
			if again {
				return w.follow(cmd.Context(), max(pause, shortestWatch))
			}
			report, err := w.look(cmd.Context())
			if err != nil {
				return err
			}
			return report.verdict()
		},
	}
	cmd.Flags().BoolVarP(&again, "watch", "w", false, "Show it again and again, until interrupted")
	cmd.Flags().DurationVar(&pause, "watch-interval", 2*time.Second, "How long to wait between two looks")
	format.addFlag(cmd.Flags())
	return cmd
}
