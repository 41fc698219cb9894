package sim

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// Scenario runs a file of the format of [datadriven.RunTest]: blocks of "do", with one command a line, and the
// requests that the receiver has got by then. With -rewrite it writes the requests that it sees. It is called in a
// bubble of testing/synctest. [World.do] lists the commands.
func Scenario(t *testing.T, path string, newPeer func(PeerOptions) Peer) {
	w := newWorld(t, 1, newPeer)
	w.paces = map[string]*rand.Rand{}
	w.live(func() {})
	defer w.end()
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		if d.Cmd != "do" {
			d.Fatalf(t, "unknown directive %q, want do", d.Cmd)
		}
		var out strings.Builder
		for line := range strings.Lines(d.Input) {
			said, err := w.do(strings.Fields(line))
			if err != nil {
				d.Fatalf(t, "%s: %v\n%s", strings.TrimSpace(line), err, w.tell(err.Error()))
			}
			out.WriteString(said)
		}
		return out.String()
	})
}

// do runs the command of a line, and returns its output.
//
//	start M...             processes begin, read the cluster and join the ring
//	reading DURATION       processes that start from now on take so long to read types beside the two
//	limits N B             their checkpoints name N objects at most, and their requests have B upserts at most
//	kill M, leave M        a process ends: without a word, or in order
//	fence M, unfence M     its Lease expires under it; it joins again
//	lag M, catch-up M      its watches bring nothing; they go on
//	lose M N               its watches lose the next N events
//	put O..., delete O...  objects are written; those with a g as their first letter are of the second type
//	remove-type, serve-type
//	receiver MODE          it is well, busy (503), steady (takes 1 s), hangs, or slow (takes up to 20 s, and goes on
//	                       without its client)
//	api away, api back     the API server, which comes back without its history
//	resync WHAT at M...    members are asked at one moment to send again: all, held (all, and what each member holds
//	                       back), own (what M owns), pods, gadgets, or the pods of namespace a or b
//	operations [at M...]   all resyncs end, for all members; or what these members know of them now: prints them
//	schedule DURATION      processes that start from now on send everything again, so long after the last time
//	opaque                 versions of the second type are no numbers
//	interval DURATION      processes that start from now on list each type once in that time, to verify; 0 is only
//	                       when asked
//	leave-out O...         their sums are without these objects
//	bookmarks off, bookmarks on
//	                       watches bring events only, as those of a real API server do for a minute
//	answer HOW             lists to verify have whole answers, half of them, or they fail
//	wait DURATION
//	repeat N DURATION ...  a command is run N times, with a pause after each
//	sync                   the receiver has what the cluster has, nothing is open, and checkpoints say so: prints what
//	                       was sent since the last one, by member
//	lists                  prints who has listed what since the last one, to verify or anew
//	indexes                prints how the indexes of all members differ from the cluster
//	parked                 prints who keeps objects of others, until a checkpoint says that they are sent
//	verified DURATION      all indexes have been compared with a list in that time
//	verify M               it has all members verify all types: prints the verdict
func (w *World) do(words []string) (string, error) {
	if len(words) == 0 {
		return "", nil
	}
	w.betweenTicks()
	switch cmd, args := words[0], words[1:]; cmd {
	case "put", "delete":
		return "", w.write(cmd, args)
	case "start":
		return "", w.startAll(args)
	case "reading", "schedule":
		d, err := time.ParseDuration(strings.Join(args, ""))
		if cmd == "reading" {
			w.reads = d
		} else {
			w.schedule = d
		}
		return "", err
	case "resync":
		return w.doResync(args)
	case "operations":
		return w.doOperations(args)
	case "limits":
		_, err := fmt.Sscan(strings.Join(args, " "), &w.limits.Exceptions, &w.limits.Batch)
		return "", err
	case "receiver":
		w.behave(strings.TrimPrefix(strings.Join(args, " "), "well"))
	case "api":
		if slices.Equal(args, []string{"away"}) {
			w.goAway()
		} else {
			w.comeBack()
		}
	case "remove-type", "serve-type":
		w.turn()
	case "wait":
		d, err := time.ParseDuration(strings.Join(args, ""))
		if err != nil {
			return "", err
		}
		time.Sleep(d)
	case "repeat":
		return w.repeat(args)
	case "sync":
		if amiss := w.await(w.unsettled); amiss != "" {
			return "", fmt.Errorf("after three minutes: %s", amiss)
		}
		time.Sleep(15 * time.Second) // one and a half times the pace of checkpoints
		return w.sent(), nil
	default:
		return w.doVerification(cmd, args)
	}
	return "", nil
}

// repeat runs a command again and again, with a pause after each time.
func (w *World) repeat(args []string) (string, error) {
	if len(args) < 3 {
		return "", errors.New("want a number, a duration and a command")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return "", fmt.Errorf("reading how many times: %w", err)
	}
	pause, err := time.ParseDuration(args[1])
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for range n {
		said, err := w.do(args[2:])
		if err != nil {
			return "", err
		}
		out.WriteString(said)
		time.Sleep(pause)
	}
	return out.String(), nil
}

// betweenTicks waits until half a tick after the last look of the watches. At the moment of a look, chance would decide
// whether the watches bring a change before or after the next command.
func (w *World) betweenTicks() {
	time.Sleep((tick + tick/2 - time.Since(w.began)%tick) % tick)
}

// doTo runs a command about one member.
func (w *World) doTo(cmd string, args []string) error {
	m, err := w.member(args)
	if err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	switch cmd {
	case "kill":
		w.kill(m)
	case "leave":
		w.leave(m)
	case "fence":
		w.fence(m)
	case "unfence":
		w.unfence(m)
	case "lag", "catch-up":
		w.mu.Lock()
		defer w.mu.Unlock()
		m.lags = cmd == "lag"
	case "lose":
		w.mu.Lock()
		defer w.mu.Unlock()
		_, err = fmt.Sscan(strings.Join(args[1:], " "), &m.loses)
		return err
	default:
		return fmt.Errorf("unknown command %q", cmd)
	}
	return nil
}

// member returns the member that is named first.
func (w *World) member(args []string) (*member, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(args) == 0 || w.members[args[0]] == nil {
		return nil, fmt.Errorf("want one of the members %v", slices.Sorted(maps.Keys(w.members)))
	}
	return w.members[args[0]], nil
}

// write writes objects.
func (w *World) write(cmd string, names []string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range names {
		if cmd == "put" {
			w.put(name)
			continue
		}
		if _, there := w.objects[name]; !there {
			return fmt.Errorf("there is no %s", name)
		}
		w.drop(name)
	}
	return nil
}

// startAll starts processes, and waits until they are in the ring.
func (w *World) startAll(names []string) error {
	for _, name := range names {
		w.start(name, w.reads, w.limits)
	}
	if amiss := w.await(func() string {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, name := range names {
			if !slices.Contains(w.agreed.view, name) || !w.members[name].listed {
				return name + " is not in the ring"
			}
		}
		return ""
	}); amiss != "" {
		return fmt.Errorf("after three minutes: %s", amiss)
	}
	return nil
}

// unsettled says which documents of the receiver are wrong, or which members have still to send.
func (w *World) unsettled() string {
	if amiss := w.compare(); amiss != "" {
		return amiss
	}
	w.mu.Lock()
	members := maps.Clone(w.members)
	w.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if s := members[name].peer.Stats(); members[name].ctx.Err() == nil && s.Dirty+s.InFlight+s.Unsettled > 0 {
			return fmt.Sprintf("%s has %d to send, %d requests in flight, %d last words to repeat", name, s.Dirty, s.InFlight, s.Unsettled)
		}
	}
	return ""
}

// parked says which members keep objects of others, until a checkpoint says that they are sent.
func (w *World) parked() string {
	w.mu.Lock()
	members := maps.Clone(w.members)
	w.mu.Unlock()
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if n := members[name].peer.Stats().Parked; members[name].ctx.Err() == nil && n > 0 {
			fmt.Fprintf(&out, "%s has parked %d\n", name, n)
		}
	}
	if out.Len() == 0 {
		return "nothing is parked\n"
	}
	return out.String()
}

// sent returns the changes that the receiver has got since the last call, a line a member. Their number depends on
// the order of events within one instant, so it only tells what was sent again.
func (w *World) sent() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	by := make(map[string]map[string]int)
	for _, d := range w.got {
		if by[d.from] == nil {
			by[d.from] = make(map[string]int)
		}
		by[d.from][d.what]++
	}
	w.got = nil
	if len(by) == 0 {
		return "nothing is sent\n"
	}
	var out strings.Builder
	for _, from := range slices.Sorted(maps.Keys(by)) {
		out.WriteString(from + ":")
		for _, what := range slices.SortedFunc(maps.Keys(by[from]), func(a, b string) int { return strings.Compare(a[1:], b[1:]) }) {
			out.WriteString(" " + what)
			if by[from][what] > 1 {
				out.WriteString(" (again)")
			}
		}
		out.WriteString("\n")
	}
	return out.String()
}
