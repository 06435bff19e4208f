package fuzz

import (
	"strings"
	"unicode"

	"gtstore/sim"
)

// placeBytesMax bounds a Place: a panic's text may be long.
const placeBytesMax = 160

// Place tells which check noticed a violation, and of what. Two failures with the same
// property and place are taken to have the same cause.
//
// It is the first line of the violation's text, without what differs from schedule to
// schedule. A # stands for every quoted string, every word with a digit (n1, c2, v17,
// 1.2s) and every word of one letter (a key), and only one # for several in a row:
//
//	n2, a member of group 1 at epoch 3, gave up what it holds
//	# member of group # at epoch #, gave up what it holds
//
// It does not depend on line numbers or on the time, so that a change of code elsewhere
// leaves it as it is.
func Place(v *sim.Violation) string {
	line, _, _ := strings.Cut(strings.ToValidUTF8(v.Text, "?"), "\n")
	var words []string
	for _, word := range strings.Fields(unquoted(line)) {
		core := strings.TrimFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '#' })
		if core != "" && (strings.ContainsFunc(core, func(r rune) bool { return unicode.IsDigit(r) || r == '#' }) || len([]rune(core)) == 1) {
			word = strings.Replace(word, core, "#", 1)
		}
		if n := len(words); n > 0 && strings.HasPrefix(word, "#") && (words[n-1] == "#" || words[n-1] == "#,") {
			words = words[:n-1]
		}
		words = append(words, word)
	}
	place := strings.Join(words, " ")
	if len(place) > placeBytesMax {
		place = strings.ToValidUTF8(place[:placeBytesMax], "")
	}
	return place
}

// unquoted puts a # in the place of every string in double quotes. A string whose quotes
// do not close ends with the line.
func unquoted(line string) string {
	var b strings.Builder
	inside, escaped := false, false
	for _, r := range line {
		switch {
		case escaped:
			escaped = false
		case inside && r == '\\':
			escaped = true
		case r == '"':
			if inside = !inside; inside {
				b.WriteByte('#')
			}
		case !inside:
			b.WriteRune(r)
		}
	}
	return b.String()
}
