package fleet

import (
	"sync"
	"time"
)

// Seats are for stories that run beside one another, a few at once. Of the stories that wait, the longest is next,
// so that none is left to run alone at the end. Make them with [NewSeats].
type Seats struct {
	mu      sync.Mutex // guards the fields below
	free    int
	waiting []guest // only while no seat is free
}

// guest is a story without a seat.
type guest struct {
	about time.Duration
	turn  chan struct{} // closed when the story has a seat
}

// NewSeats returns n free seats.
func NewSeats(n int) *Seats { return &Seats{free: n} }

// Take waits for a seat. about is roughly how long the caller will keep it.
func (s *Seats) Take(about time.Duration) {
	s.mu.Lock()
	if s.free > 0 {
		s.free--
		s.mu.Unlock()
		return
	}
	g := guest{about: about, turn: make(chan struct{})}
	s.waiting = append(s.waiting, g)
	s.mu.Unlock()
	<-g.turn
}

// Give gives a seat back.
func (s *Seats) Give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.free++
		return
	}
	next := 0
	for i, g := range s.waiting {
		if g.about > s.waiting[next].about {
			next = i
		}
	}
	close(s.waiting[next].turn)
	s.waiting = append(s.waiting[:next], s.waiting[next+1:]...)
}
