package main

import "time"

// cpuMeter measures the CPU time that this program and its workers use from one
// moment on. The workers' is known when they have been reaped: until then
// the system does not say what the dead among them have used.
type cpuMeter struct {
	host, workers time.Duration // used before
	ok            bool
}

// startCPU begins with these workers, who have used some already. Their number stays
// small beside what is measured if one of them dies just then and is counted from its start.
func startCPU(workers []int) cpuMeter {
	var m cpuMeter
	m.host, m.ok = cpuOfHost()
	dead, ok := cpuOfDead()
	m.workers, m.ok = dead, m.ok && ok
	for _, pid := range workers {
		used, _ := cpuOfLiving(pid)
		m.workers += used
	}
	return m
}

// stop returns what has been used since the start, by workers that are all gone now. It is not ok where the system does not tell.
func (m cpuMeter) stop() (host, workers time.Duration, ok bool) {
	host, okHost := cpuOfHost()
	dead, okDead := cpuOfDead()
	return host - m.host, dead - m.workers, m.ok && okHost && okDead
}
