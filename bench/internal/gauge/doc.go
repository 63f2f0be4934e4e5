// Package gauge measures: what time calls and processes take, on which core they run, and what many rounds come to.
package gauge
