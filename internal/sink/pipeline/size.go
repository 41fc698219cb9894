package pipeline

// lane is the knowledge about the requests of one kind, upserts or deletes.
type lane struct {
	size   batchSize
	passed uint64 // requests delivered, at least in part
}

func newLane(limit int) lane {
	return lane{size: batchSize{limit: limit, now: limit, chance: chance{score: maxChance}}}
}

// batchSize is the number of items that a batch of one kind may hold at the moment. Failures that may be the
// body's fault halve it and successes double it, between 1 and its limit. So a slow embedder, a share of poison
// objects or a proxy's limit cost a few small requests, and no standstill.
//
// A size that failed when it was tried after a success is a ceiling. It is not tried again before as many
// requests have passed as the ceiling has cost, doubled. Otherwise a receiver that takes 40 items and never 50
// would be sent as many requests in vain as it takes.
type batchSize struct {
	limit, now int
	streak     int  // failures since a request of this kind passed
	trying     bool // no batch of this size has passed since it was doubled
	// ceiling is the size that was tried too early, 0 for none. patience is the number of requests that must pass
	// before it is tried again, passes the number that has passed.
	ceiling, patience, passes int
	chance                    chance
}

// maxPatience bounds how long a ceiling is respected.
const maxPatience = 64

// well tells whether no failure speaks against a full batch.
func (s *batchSize) well() bool { return s.now == s.limit && s.streak == 0 }

// passed takes a batch of n that was delivered.
func (s *batchSize) passed(n int) {
	s.streak = 0
	s.passes++
	if s.ceiling > 0 && n >= s.ceiling {
		s.ceiling, s.patience = 0, 0
	}
	if n < s.now {
		return // The batch says nothing about larger ones.
	}
	s.trying = false
	next := min(2*s.now, s.limit)
	if next == s.now || s.ceiling > 0 && next >= s.ceiling && s.passes < s.patience {
		return
	}
	s.now, s.trying = next, true
}

// failed takes a batch of n that failed. As long as failures look like chance, one or two between passing batches
// are no reason to shrink. A slow failure is a reason: a batch that takes too long will take too long again.
func (s *batchSize) failed(n int, slow bool) {
	s.streak++
	if n > s.now || n == 1 || s.streak < 2+min(s.chance.score, 1) && !slow {
		return // The size is smaller by now; or a smaller one would not help.
	}
	if s.trying {
		s.ceiling, s.patience, s.passes = s.now, min(max(2*s.patience, 1), maxPatience), 0
	}
	s.now, s.trying = max(s.now/2, 1), false
}

// chance tells whether failed requests pass when they are tried again unchanged. Where they do, halving them
// would double the requests for nothing; where they do not, the second try is in vain.
type chance struct {
	score   int // of the latest second tries, from 0 to maxChance
	skipped int // failures that had no second try
}

const (
	maxChance = 6
	// chanceAgain is the number of failures without a second try before one is tried all the same.
	chanceAgain = 8
)

// worth tells whether to try again: as long as second tries have helped recently.
func (c *chance) worth() bool {
	if c.score == 0 && c.skipped < chanceAgain {
		c.skipped++
		return false
	}
	c.skipped = 0
	return true
}

func (c *chance) won()  { c.score = min(c.score+1, maxChance) }
func (c *chance) lost() { c.score = max(c.score-1, 0) }
