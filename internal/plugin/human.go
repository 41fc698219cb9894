package plugin

import (
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// none stands in a cell that has nothing to say.
const none = "-"

// age says how long something is ago, as kubectl does: 12s, 3m12s, 5h, 2d.
func age(d time.Duration) string { return duration.HumanDuration(max(d, 0)) }

// seconds is a number of seconds as the API gives it.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// percent says a share with one digit.
func percent(share float64) string { return strconv.FormatFloat(share*100, 'f', 1, 64) + "%" }

// count says how many there are of something.
func count[N int | uint64](n N, noun string) string {
	s := strconv.FormatUint(uint64(n), 10) + " " + noun
	if n != 1 {
		s += "s"
	}
	return s
}

// yes says yes or no.
func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// orNone makes an empty cell visible.
func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

// oneLine makes sure that what others say cannot break a table, nor send anything to a terminal but text.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
