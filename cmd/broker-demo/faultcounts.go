package main

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
)

// faultCounts counts what has been thrown and survived. The zero value is ready; any number of goroutines may use it.
type faultCounts struct {
	mu               sync.Mutex
	thrown, survived map[string]int64 // by kind
}

func (c *faultCounts) throw(kind string)   { c.add(&c.thrown, kind) }
func (c *faultCounts) survive(kind string) { c.add(&c.survived, kind) }

func (c *faultCounts) add(to *map[string]int64, kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *to == nil {
		*to = make(map[string]int64)
	}
	(*to)[kind]++
}

// counts returns both by kind, never nil.
func (c *faultCounts) counts() (thrown, survived map[string]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	thrown, survived = map[string]int64{}, map[string]int64{}
	maps.Copy(thrown, c.thrown)
	maps.Copy(survived, c.survived)
	return thrown, survived
}

// faultGroups are the kinds as the display has them. What is in no group is a hostile worker.
var faultGroups = []struct {
	name  string
	kinds []string
}{
	{"kills", []string{faultKill, faultTerm, faultSegv}},
	{"freezes", []string{faultFreeze, faultHang}},
	{"reloads", []string{faultReload, faultBadReload}},
	{"resizes", []string{faultResize}},
	{"stops", []string{faultStop}},
}

// status says in a few words which of the faults thrown have been survived so far.
func (c *faultCounts) status() string {
	thrown, survived := c.counts()
	allThrown, allSurvived := sumOf(thrown), sumOf(survived)
	parts := []string{"survived " + of(allSurvived, allThrown) + " faults"}
	for _, g := range faultGroups {
		t, s := int64(0), int64(0)
		for _, kind := range g.kinds {
			t, s = t+thrown[kind], s+survived[kind]
		}
		allThrown, allSurvived = allThrown-t, allSurvived-s
		if t > 0 {
			parts = append(parts, g.name+" "+of(s, t))
		}
	}
	if allThrown > 0 {
		parts = append(parts, "hostile "+of(allSurvived, allThrown))
	}
	return strings.Join(parts, ", ")
}

// of is n of all, in short.
func of(n, all int64) string {
	if n == all {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%d/%d", n, all)
}

func sumOf(counts map[string]int64) (n int64) {
	for _, count := range counts {
		n += count
	}
	return n
}
