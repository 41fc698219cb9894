package pipeline

import "github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"

// class is a kind of traffic. A lower number is more urgent.
type class uint8

const (
	classDeletes class = iota
	classLive
	classRetriedDeletes // deletions that failed before
	classRetried        // upserts that failed before, in company
	classBulk           // first lists and resyncs
	classAlone          // upserts that failed by themselves
	numClasses
)

// deletes tells whether the requests of a class carry deletions.
func (c class) deletes() bool { return c == classDeletes || c == classRetriedDeletes }

func (c class) lane() delivery.Lane { return laneOf(c.deletes()) }

// share is the number n by which every nth request of a class goes to the lower classes, if they have a due item.
// Live changes and failed items take turns: for both, people wait for the change.
var share = [numClasses]int{classDeletes: 3, classLive: 2, classRetriedDeletes: 3, classRetried: 3, classBulk: 3, classAlone: 1}

// turns prevents that one class starves another: it counts the requests that a class has had while a lower one
// had a due item.
type turns [numClasses]int

// next returns the class whose turn it is; ok is false when no class has a due item.
func (t *turns) next(due func(class) bool) (c class, ok bool) {
	var dues []class
	for c := range numClasses {
		if due(c) {
			dues = append(dues, c)
		}
	}
	for i, c := range dues {
		if i < len(dues)-1 {
			if t[c]++; t[c] >= share[c] {
				t[c] = 0
				continue
			}
		}
		return c, true
	}
	return 0, false
}
