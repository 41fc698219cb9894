package pipeline

import "time"

// moment is a time, counted from when the pipeline was made.
type moment time.Duration

// ages counts the dirty items by the second in which they became so. The oldest is found without looking at the items:
// there are as many seconds as the lag has, and not as many as there are objects.
type ages struct {
	began   time.Time
	seconds map[int32]int
}

func newAges() ages { return ages{began: time.Now(), seconds: make(map[int32]int)} }

// moment is a time as items keep it, and time the way back.
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

// second is the one in which an item counts, 0 for none.
func (it *item) second() int32 {
	if !it.dirty() || it.place == parked || it.place == quarantined {
		return 0
	}
	return 1 + int32(max(time.Duration(it.first.at), 0)/time.Second)
}

// oldest is the age of the oldest, to the second, 0 when there is none.
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
