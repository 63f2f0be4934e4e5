package main

import "os"

// measure returns what this process takes now. It opens as little as it can: what it takes itself is part of that.
func measure() (footprint, error) {
	stat, err := readStat("self")
	if err != nil {
		return footprint{}, err
	}
	threads, err := stat.number(statThreads)
	if err != nil {
		return footprint{}, err
	}
	pages, err := stat.number(statResident)
	if err != nil {
		return footprint{}, err
	}
	return footprint{threads: threads, resident: int64(pages) * int64(os.Getpagesize())}, nil
}

// children counts the processes whose parent this one is, those among them that are dead and not reaped.
func children() (n int, err error) {
	names, err := entries("/proc")
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if stat, err := readStat(name); err == nil && stat.isChild() { // otherwise no process, or gone meanwhile
			n++
		}
	}
	return n, nil
}
