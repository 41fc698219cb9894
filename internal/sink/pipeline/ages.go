package pipeline

import "time"

// moment is a time, counted from the creation of the pipeline.
type moment time.Duration

// ages counts the dirty items by the second in which they became dirty. So the oldest is found without a look at
// each item: the number of seconds is that of the lag, not that of the objects.
type ages struct {
	began   time.Time
	seconds map[int32]int
}

func newAges() ages { return ages{began: time.Now(), seconds: make(map[int32]int)} }

// moment returns a time in the form in which items keep it.
func (a *ages) moment(t time.Time) moment { return moment(t.Sub(a.began)) }
func (a *ages) time(m moment) time.Time   { return a.began.Add(time.Duration(m)) }

// note brings the count in step with an item.
func (a *ages) note(it *item) {
	second := it.second()
	if second == it.aged {
		return
	}
	if it.aged != 0 {
		if a.seconds[it.aged]--; a.seconds[it.aged] == 0 {
			delete(a.seconds, it.aged)
		}
	}
	if second != 0 {
		a.seconds[second]++
	}
	it.aged = second
}

// second returns the second in which an item counts, 0 for none.
func (it *item) second() int32 {
	if !it.dirty() || it.place == parked || it.place == quarantined {
		return 0
	}
	return 1 + int32(max(time.Duration(it.first.at), 0)/time.Second)
}

// oldest returns the age of the oldest dirty item, to the second, 0 when there is none.
func (a *ages) oldest(now time.Time) time.Duration {
	var first int32
	for second := range a.seconds {
		if first == 0 || second < first {
			first = second
		}
	}
	if first == 0 {
		return 0
	}
	return now.Sub(a.began) - time.Duration(first-1)*time.Second
}
