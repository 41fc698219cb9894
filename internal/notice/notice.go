package notice

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The reasons of the Events, by which people select them.
const (
	ReceiverDown    = "ReceiverDown"
	ReceiverBack    = "ReceiverBack"
	RepairHeld      = "RepairHeld"
	RestoreNoticed  = "RestoreNoticed"
	DivergenceFound = "DivergenceFound"
)

// Situation holds the facts of one moment.
type Situation struct {
	// Receiver is the receiver of the environment; nil when there is none.
	Receiver *Receiver
	// Restores is how often the cluster has been seen to go back in time since the start.
	Restores int
	// Divergent are the types whose index on this member has turned out to differ since the previous situation,
	// sorted.
	Divergent []string
}

// Receiver is the state of the receiver, by the reports of all members.
type Receiver struct {
	// Endpoint is its URL as it may be shown.
	Endpoint string
	// Down tells that some member's requests fail, so that it only probes.
	Down bool
	// Reason says why, in words, and Advice is the remedy.
	Reason, Advice string
	// By are the members that report this, sorted.
	By []string
	// Held are the repairs that wait for a person's consent.
	Held []Held
}

// Held is a repair that would delete more documents than it may without consent.
type Held struct {
	Resource, Source, Member string
	Documents                int
}

// key names a held repair; the number of its documents may change.
func (h Held) key() string { return h.Resource + " " + h.Source + " " + h.Member }

// Notice is one piece of news.
type Notice struct {
	// Reason is one of the constants.
	Reason string
	// Warning tells that a person should look.
	Warning bool
	// Own tells that the news concerns this member alone.
	Own bool
	// Note is the text for people.
	Note string
}

// startGrace is how long after the first look the watcher does not report a receiver that is down. A person who
// installs both at once starts them side by side, and reports of other members are some seconds old.
const startGrace = 20 * time.Second

// Watcher finds the news in a situation. The zero value has seen nothing, and reports all troubles of the first
// situations as news. A receiver that is down is news only when it has had the time to start.
type Watcher struct {
	begun    time.Time // the first look
	since    time.Time // when the receiver went down; zero while it is up
	toldDown bool
	held     map[string]bool
	restores int
}

// Look takes the situation at a time and returns the news in it.
func (w *Watcher) Look(s Situation, now time.Time) []Notice {
	var news []Notice
	if w.begun.IsZero() {
		w.begun = now
	}
	if s.Restores > w.restores {
		news = append(news, Notice{Reason: RestoreNoticed, Warning: true, Note: "The cluster has gone back in time, as after a restore of etcd. " +
			"Everything is listed again, and what the receiver has otherwise is corrected. Nothing need be done."})
	}
	w.restores = s.Restores
	if len(s.Divergent) > 0 {
		news = append(news, Notice{Reason: DivergenceFound, Warning: true, Own: true, Note: fmt.Sprintf(
			"This replica's index of %s differed from the cluster. It lists the type again and sends each difference. "+
				"Something between the API server and this replica loses events.", few(s.Divergent))})
	}
	if s.Receiver != nil {
		news = append(news, w.receiver(*s.Receiver, now)...)
	}
	return news
}

func (w *Watcher) receiver(r Receiver, now time.Time) (news []Notice) {
	if r.Down && w.since.IsZero() {
		w.since = now
	}
	switch {
	case r.Down && !w.toldDown && now.Sub(w.begun) >= startGrace:
		w.toldDown = true
		news = append(news, Notice{Reason: ReceiverDown, Warning: true, Note: fmt.Sprintf(
			"The receiver at %s takes nothing, says %s: %s. %s Changes are kept until it answers.", r.Endpoint, few(r.By), r.Reason, r.Advice)})
	case !r.Down:
		if w.toldDown {
			news = append(news, Notice{Reason: ReceiverBack, Note: fmt.Sprintf(
				"The receiver at %s takes what is sent again, after %s.", r.Endpoint, now.Sub(w.since).Round(time.Second))})
		}
		w.toldDown, w.since = false, time.Time{}
	}
	held := make(map[string]bool, len(r.Held))
	var fresh []string
	for _, h := range r.Held {
		held[h.key()] = true
		if !w.held[h.key()] {
			fresh = append(fresh, fmt.Sprintf("%d of %s (by the %s, at %s)", h.Documents, h.Resource, h.Source, h.Member))
		}
	}
	w.held = held
	if len(fresh) > 0 {
		news = append(news, Notice{Reason: RepairHeld, Warning: true, Note: fmt.Sprintf(
			"Documents whose objects seem to be gone stay at the receiver, because they are more than may be deleted unasked: %s. "+
				"If they are to go, ask for a resync with force.", few(fresh))})
	}
	return news
}

// few names a few of them, and says how many more there are: the API server takes a note of 1 KiB at most.
func few(all []string) string {
	const most = 3
	if n := len(all); n > most {
		return fmt.Sprintf("%s and %d more", strings.Join(slices.Clone(all[:most]), ", "), n-most)
	}
	return strings.Join(all, ", ")
}
