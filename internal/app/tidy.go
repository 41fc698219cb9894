package app

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// tidyEvery is how often a replica looks whether there is memory to be given back.
const tidyEvery = 10 * time.Second

// restPercent takes the place of [gcPercent] once everything has been read. With 20,000 objects a collection is
// some 10 ms of CPU, and 200 changes a second make for one a second. GOGC overrides both.
const restPercent = 20

// tidy collects what a replica at rest leaves behind. By itself the collector waits until memory has grown by
// [restPercent] of everything, the stacks of a thousand watches included, or for two minutes: until then a
// checkpoint here and a scrape there would be taken for memory that is needed. It costs 5 to 20 ms of CPU, six
// times a minute at most.
func tidy(ctx context.Context) error {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if worthTidying(heap()) {
			debug.FreeOSMemory()
		}
	}
}

// setGCPercent sets how much memory may grow until the collector runs, unless the environment does.
func setGCPercent(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// worthTidying tells whether a twentieth of what is held in memory may be garbage.
func worthTidying(objects, live uint64) bool { return objects > live+live/20 }

// heap returns how many bytes objects take, and how many of them were in use when it was last looked at.
func heap() (objects, live uint64) {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}
