package main

import "github.com/stdcrew/stdcrew/bench/internal/gauge"

// inTurns measures two loops so many times, each first in every second round, so that what drifts falls on both alike.
func inTurns(rounds int, a, b func() (gauge.Figures, error)) (as, bs []gauge.Figures, err error) {
	for i := range rounds {
		turns := []func() error{
			func() error { return keep(&as, a) },
			func() error { return keep(&bs, b) },
		}
		if i%2 == 1 {
			turns[0], turns[1] = turns[1], turns[0]
		}
		for _, turn := range turns {
			if err := turn(); err != nil {
				return nil, nil, err
			}
		}
	}
	return as, bs, nil
}

func keep(all *[]gauge.Figures, measure func() (gauge.Figures, error)) error {
	f, err := measure()
	*all = append(*all, f)
	return err
}
