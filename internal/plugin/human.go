package plugin

import (
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// none stands in an empty cell.
const none = "-"

// age is how long ago something was, as kubectl writes it: 12s, 3m12s, 5h, 2d.
func age(d time.Duration) string { return duration.HumanDuration(max(d, 0)) }

// seconds is a number of seconds as the API gives it.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// percent formats a share with one digit.
func percent(share float64) string { return strconv.FormatFloat(share*100, 'f', 1, 64) + "%" }

// count is a number with its noun.
func count[N int | uint64](n N, noun string) string {
	s := strconv.FormatUint(uint64(n), 10) + " " + noun
	if n != 1 {
		s += "s"
	}
	return s
}

// yes is yes or no.
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

// oneLine keeps a text of other programs from breaking a table, and from sending control characters to a terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
