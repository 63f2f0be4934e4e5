package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

func report1(events string) {
	out := bufio.NewWriter(os.Stdout)
	ok, err := copyReport(out, strings.NewReader(events))
	_ = out.Flush()
	fmt.Println("all passed:", ok, err)
}

// Passing tests leave one line a package; a skip is listed with its reason.
func Example_skip() {
	report1(`{"Action":"start","Package":"m/a"}
{"Action":"run","Package":"m/a","Test":"TestOne"}
{"Action":"output","Package":"m/a","Test":"TestOne","Output":"=== RUN   TestOne\n"}
{"Action":"output","Package":"m/a","Test":"TestOne","Output":"    a_test.go:3: chatter\n"}
{"Action":"output","Package":"m/a","Test":"TestOne","Output":"--- PASS: TestOne (0.00s)\n"}
{"Action":"pass","Package":"m/a","Test":"TestOne"}
{"Action":"output","Package":"m/a","Test":"TestTwo","Output":"=== RUN   TestTwo\n"}
{"Action":"output","Package":"m/a","Test":"TestTwo","Output":"    a_test.go:9: needs cgroup v2\n"}
{"Action":"output","Package":"m/a","Test":"TestTwo","Output":"--- SKIP: TestTwo (0.00s)\n"}
{"Action":"skip","Package":"m/a","Test":"TestTwo"}
{"Action":"output","Package":"m/a","Output":"PASS\n"}
{"Action":"output","Package":"m/a","Output":"ok  \tm/a\t0.002s\n"}
{"Action":"pass","Package":"m/a"}
{"Action":"output","Package":"m/b","Output":"?   \tm/b\t[no test files]\n"}
{"Action":"skip","Package":"m/b"}
`)
	// Output:
	// ok  	m/a	0.002s
	// ?   	m/b	[no test files]
	//
	// skipped:
	//   m/a TestTwo: a_test.go:9: needs cgroup v2
	//
	// 1 passed, 0 failed, 1 skipped
	// all passed: true <nil>
}

// A failure shows what the test printed, and a test that a panic cut off shows what it had printed so far.
func Example_fail() {
	report1(`{"Action":"output","Package":"m/a","Test":"TestOne","Output":"=== RUN   TestOne\n"}
{"Action":"output","Package":"m/a","Test":"TestOne","Output":"    a_test.go:3: want 1, have 2\n"}
{"Action":"output","Package":"m/a","Test":"TestOne","Output":"--- FAIL: TestOne (0.00s)\n"}
{"Action":"fail","Package":"m/a","Test":"TestOne"}
{"Action":"output","Package":"m/a","Test":"TestTwo","Output":"=== RUN   TestTwo\n"}
{"Action":"output","Package":"m/a","Test":"TestTwo","Output":"panic: oh\n"}
{"Action":"output","Package":"m/a","Output":"FAIL\tm/a\t0.002s\n"}
{"Action":"fail","Package":"m/a"}
`)
	// Output:
	//     a_test.go:3: want 1, have 2
	// --- FAIL: TestOne (0.00s)
	// panic: oh
	// FAIL	m/a	0.002s
	//
	// 0 passed, 1 failed, 0 skipped
	// all passed: false <nil>
}

// What the compiler says is shown, a line that is no event passes through, and a package that does not build counts.
func Example_build() {
	report1(`{"ImportPath":"m/a","Action":"build-output","Output":"# m/a\n"}
{"ImportPath":"m/a","Action":"build-output","Output":"./a.go:1:1: oh\n"}
{"ImportPath":"m/a","Action":"build-fail"}
plain text
{"Action":"output","Package":"m/a","Output":"FAIL\tm/a [build failed]\n"}
{"Action":"fail","Package":"m/a","FailedBuild":"m/a"}
`)
	// Output:
	// # m/a
	// ./a.go:1:1: oh
	// plain text
	// FAIL	m/a [build failed]
	//
	// 0 passed, 1 failed, 0 skipped
	// all passed: false <nil>
}
