package config

import (
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
)

// maxShown is how many bytes of a wrong value an error repeats.
const maxShown = 200

// shown returns the value of a variable for the log. It hides a token that stands where the path of its file
// belongs.
func shown(name, value string) string {
	if name == "AUTH_TOKEN_FILE" && !filepath.IsAbs(value) && value != "" {
		return "(not shown)"
	}
	return printable(value)
}

// printable redacts a value, cuts it, and quotes it when it is not fit for one line of a log.
func printable(value string) string {
	value = redact(value)
	if len(value) > maxShown {
		value = strings.ToValidUTF8(value[:maxShown], "") + "…"
	}
	if strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }) || strings.ContainsRune(value, unicode.ReplacementChar) {
		return strconv.Quote(value)
	}
	return value
}

// redact takes out parts that look like the user of a URL, or like its query: either may be a credential. It works
// on the text, since most values in errors are URLs that could not be parsed.
func redact(value string) string {
	if at := strings.LastIndexByte(value, '@'); at >= 0 {
		start := 0
		if scheme := strings.Index(value[:at], "://"); scheme >= 0 {
			start = scheme + len("://")
		}
		value = value[:start] + "xxxxx" + value[at:]
	}
	if before, _, found := strings.Cut(value, "?"); found && strings.Contains(before, "://") {
		value = before + "?xxxxx"
	}
	return value
}
