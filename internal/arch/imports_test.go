package arch

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestImportsFollowTable(t *testing.T) {
	for _, s := range sources(t) {
		if s.nested {
			continue
		}
		for _, complaint := range complaints(s) {
			t.Error(complaint)
		}
	}
}

// complaints says what the table has against a file.
func complaints(s source) []string {
	r, ok := ruleFor(s.pkg)
	if !ok {
		return []string{fmt.Sprintf("%s: package %s is missing from the table in internal/arch/table_test.go", s.path, s.pkg)}
	}
	var found []string
	for _, path := range s.imports {
		switch rel, ours := strings.CutPrefix(path, module+"/"); {
		case ours && s.test:
		case ours && rel == s.pkg:
		case ours && !slices.ContainsFunc(r.ours, func(p string) bool { return covers(p, rel) }):
			found = append(found, fmt.Sprintf("%s: package %s must not import %s; it may import %v of ours", s.path, s.pkg, rel, r.ours))
		case ours, !foreign(path), s.test && slices.ContainsFunc(forTests, within(path)):
		case !slices.ContainsFunc(r.others, within(path)):
			found = append(found, fmt.Sprintf("%s: package %s must not import %s; it may import %v of others", s.path, s.pkg, path, r.others))
		}
	}
	return found
}

// foreign says whether an import path is that of a module on the net: its first element is a host's name.
func foreign(path string) bool {
	host, _, _ := strings.Cut(path, "/")
	return strings.Contains(host, ".")
}

func within(path string) func(module string) bool {
	return func(module string) bool { return below(module, path) }
}

// A rule that never says no would pass the test above for ever.
func TestTableComplains(t *testing.T) {
	const (
		testify  = "github.com/stretchr/testify/require"
		msgpack  = "github.com/vmihailenco/msgpack/v5"
		jsonrpc2 = "github.com/sourcegraph/jsonrpc2"
	)
	cases := []struct {
		pkg, imports string
		test, ok     bool
	}{
		{pkg: "framing", imports: "io", ok: true},
		{pkg: "framing", imports: module + "/rpc"},
		{pkg: "framing", imports: module + "/rpc", test: true, ok: true},
		{pkg: "framing", imports: testify},
		{pkg: "framing", imports: testify, test: true, ok: true},
		{pkg: "framing", imports: jsonrpc2, test: true},
		{pkg: "rpc", imports: msgpack, ok: true},
		{pkg: "rpc", imports: msgpack + "/msgpcode", ok: true},
		{pkg: "rpc", imports: jsonrpc2},
		{pkg: "jsonrpc", imports: jsonrpc2, ok: true},
		{pkg: "pool", imports: msgpack},
		{pkg: "pool", imports: module + "/rpc", ok: true},
		{pkg: "pool", imports: module + "/broker"},
		{pkg: "worker", imports: module + "/process"},
		{pkg: "cmd/broker-demo", imports: module + "/broker", ok: true},
		{pkg: "cmd/broker-demo", imports: module + "/broker/brokertest", ok: true},
		{pkg: "cmd/broker-demo", imports: module + "/internal/arch"},
		{pkg: "testworkers/echo", imports: module + "/worker", ok: true},
		{pkg: "testworkers/echo", imports: module + "/broker"},
		{pkg: "utilities", imports: "io"},
	}
	for _, c := range cases {
		got := complaints(source{path: c.pkg + "/file.go", pkg: c.pkg, test: c.test, imports: []string{c.imports}})
		require.Equal(t, c.ok, len(got) == 0, "%s importing %s (test: %v): %v", c.pkg, c.imports, c.test, got)
	}
}

// A worker program carries nothing that could start a process, on any system, through whatever it imports.
func TestWorkerLinksNoProcesses(t *testing.T) {
	for _, system := range []string{"linux", "darwin", "windows"} {
		t.Run(system, func(t *testing.T) {
			list := exec.Command("go", "list", "-deps", "./worker")
			list.Dir = root
			list.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64")
			list.Stderr = os.Stderr
			out, err := list.Output()
			require.NoError(t, err)
			linked := strings.Fields(string(out))
			require.Contains(t, linked, module+"/worker")
			for _, unwanted := range []string{"os/exec", module + "/process", module + "/pool"} {
				require.NotContains(t, linked, unwanted)
			}
		})
	}
}
