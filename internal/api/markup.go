package api

import (
	"html"
	"strconv"
	"strings"
)

// markup is HTML. It is built from strings because html/template brings text/template, which costs each replica 4.3
// MiB of resident memory (hack/house checks that). Generated templates would need one more tool for only two pages.
//
// A constant becomes markup by itself, but a string from outside does not compile where markup is expected. It
// becomes markup through [text], [number] and [attr] alone, which escape every character that could end a text or
// an attribute. A conversion would get around that, so a test forbids conversions outside this file.
type markup string

// text is a value between two tags. Bytes that no HTML document may hold become U+FFFD.
func text(value string) markup {
	value = strings.ReplaceAll(strings.ToValidUTF8(value, "\uFFFD"), "\x00", "\uFFFD")
	return markup(html.EscapeString(value))
}

// number is a number between two tags.
func number(n int) markup { return markup(strconv.Itoa(n)) }

// attr is an attribute within a tag, always in quotes, with a space before it. It does not judge the meaning of a
// value: every link is a path that this package made, and no attribute is a style or a script.
func attr(name markup, value string) markup { return " " + name + `="` + text(value) + `"` }

// when is the markup if the condition holds, and nothing otherwise.
func when(condition bool, m markup) markup {
	if !condition {
		return ""
	}
	return m
}

// each is the markup of all values, in their order.
func each[T any](values []T, one func(T) markup) markup {
	var b strings.Builder
	for _, v := range values {
		b.WriteString(string(one(v)))
	}
	return markup(b.String())
}
