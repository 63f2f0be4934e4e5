package main

import (
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// pages are those that have numbered lines, in the order in which they are printed.
var pages = []string{"docs/behavior.md", "docs/pitfalls.md"}

// line is a numbered line of a page.
type line struct {
	number  string // L2.3, or P9
	group   string // L2, or P
	words   string // its first ones
	planned bool   // about what is not yet built
}

// maxWords bounds the first words of a line, in runes.
const maxWords = 90

// unbuilt is how an introduction says that a part is still to come.
const unbuilt = "not yet built"

var (
	numbered = regexp.MustCompile(`^- \*\*([LP][0-9.]+)\*\* (.*)`)
	heading  = regexp.MustCompile(`^#+ (L[0-9]+\b)?`)
	sentence = regexp.MustCompile(`\.(\s+|$)`)
	// span is a number, or the first and the last of several.
	span = regexp.MustCompile(`\b(L[0-9]+\.|P)([0-9]+)(?:–(?:L[0-9]+\.|P)([0-9]+))?`)
)

func readPages(root fs.FS) ([]line, error) {
	var all []line
	seen := map[string]bool{}
	for _, name := range pages {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return nil, err
		}
		found := readPage(string(text))
		if len(found) == 0 {
			return nil, fmt.Errorf("%s: no numbered lines", name)
		}
		for _, l := range found {
			if seen[l.number] {
				return nil, fmt.Errorf("%s: %s is there twice", name, l.number)
			}
			seen[l.number] = true
		}
		all = append(all, found...)
	}
	return all, nil
}

// readPage returns a page's numbered lines. Text that is neither indented nor a table introduces what follows it.
func readPage(page string) []line {
	var lines []line
	var intro strings.Builder
	group, planned := "", map[string]bool{} // numbers, and whole groups
	for text := range strings.Lines(page) {
		text = strings.TrimRight(text, "\n")
		if m := numbered.FindStringSubmatch(text); m != nil {
			lines = append(lines, line{number: m[1], group: groupOf(m[1]), words: firstWords(m[2])})
			continue
		}
		if m := heading.FindStringSubmatch(text); m != nil {
			notePlanned(planned, intro.String(), group)
			intro.Reset()
			group = m[1]
			continue
		}
		if text != "" && text[0] != '|' && text[0] != ' ' {
			intro.WriteString(text + " ")
		}
	}
	notePlanned(planned, intro.String(), group)
	for i, l := range lines {
		lines[i].planned = planned[l.number] || planned[l.group]
	}
	return lines
}

// notePlanned notes what an introduction says is not yet built: what its sentence names, or else the whole group.
func notePlanned(planned map[string]bool, intro, group string) {
	for _, s := range sentence.Split(intro, -1) {
		if !strings.Contains(s, unbuilt) {
			continue
		}
		named := spanned(s)
		if len(named) == 0 && group != "" {
			named = []string{group}
		}
		for _, number := range named {
			planned[number] = true
		}
	}
}

// spanned returns the numbers that a text names, with those between the first and the last of a span.
func spanned(text string) []string {
	var all []string
	for _, m := range span.FindAllStringSubmatch(text, -1) {
		first, _ := strconv.Atoi(m[2]) // the expression sees to it that these are numbers
		last, err := strconv.Atoi(m[3])
		if err != nil {
			last = first
		}
		for n := first; n <= last; n++ {
			all = append(all, m[1]+strconv.Itoa(n))
		}
	}
	return all
}

// groupOf returns L2 for L2.3 and P for P9.
func groupOf(number string) string {
	if group, _, found := strings.Cut(number, "."); found {
		return group
	}
	return strings.TrimRight(number, "0123456789")
}

func firstWords(text string) string {
	if utf8.RuneCountInString(text) <= maxWords {
		return text
	}
	cut := string([]rune(text)[:maxWords])
	if at := strings.LastIndexByte(cut, ' '); at > 0 {
		cut = cut[:at]
	}
	return cut + " …"
}
