// Package gauge measures: what time calls and processes take, and what many rounds come to.
package gauge
