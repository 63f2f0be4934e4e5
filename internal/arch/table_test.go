package arch

import "strings"

const module = "github.com/stdcrew/stdcrew"

// public as an allowed import stands for every package of the module that is not internal.
const public = "public"

// library is what packages that others import may use of other people's; anything more is a dependency for all their users.
var library = []string{
	"github.com/vmihailenco/msgpack/v5",
	"golang.org/x/sync",
	"golang.org/x/sys",
}

// program is what commands may use beside library.
var program = append([]string{
	"github.com/HdrHistogram/hdrhistogram-go",
	"github.com/peterbourgon/ff/v3",
	"github.com/schollz/progressbar/v3",
	"golang.org/x/term",
}, library...)

// forTests is what tests may use everywhere.
var forTests = []string{"github.com/stretchr/testify", "golang.org/x/sys"}

// rule says what the files of a package may import; tests may also import any package of the module.
type rule struct {
	ours   []string // packages of the module, relative to its root
	others []string // modules of other people
}

// table is the order of the house: who may import whom. "x/..." stands for x and everything below it, an exact row wins.
// Payloads are encoded in the connection alone, so neither pool nor broker needs MessagePack.
// brokertest puts processes in memory behind a real broker, and stands between the worker in each and its pipes.
var table = map[string]rule{
	"framing":           {},
	"rpc":               {ours: []string{"framing"}, others: library},
	"worker":            {ours: []string{"rpc"}, others: library},
	"process":           {others: []string{"golang.org/x/sync", "golang.org/x/sys"}},
	"pool":              {ours: []string{"rpc", "process"}, others: []string{"golang.org/x/sync", "golang.org/x/sys"}},
	"broker":            {ours: []string{"pool", "rpc", "process"}, others: []string{"golang.org/x/sync"}},
	"broker/brokertest": {ours: []string{"broker", "worker", "process", "rpc", "framing"}, others: library},
	"monitor":           {ours: []string{"process"}, others: []string{"golang.org/x/sync", "golang.org/x/sys"}},

	"jobs":    {ours: []string{"broker"}, others: library},
	"admin":   {ours: []string{"broker"}, others: library},
	"jsonrpc": {ours: []string{"pool", "rpc"}, others: append([]string{"github.com/sourcegraph/jsonrpc2"}, library...)},

	"testworkers/...": {ours: []string{"worker", "framing", "testworkers/..."}, others: library},
	"examples/...":    {ours: []string{public}, others: library},
	"cmd/...":         {ours: []string{public}, others: program},
	"internal/arch":   {},
}

// ruleFor finds the row for a package given relative to the module's root.
func ruleFor(pkg string) (rule, bool) {
	if r, ok := table[pkg]; ok {
		return r, true
	}
	for pattern, r := range table {
		if strings.HasSuffix(pattern, "/...") && covers(pattern, pkg) {
			return r, true
		}
	}
	return rule{}, false
}

// covers says whether pattern (a package, or "x/...") stands for pkg.
func covers(pattern, pkg string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return below(tree, pkg)
	}
	return pattern == pkg || pattern == public && !below("internal", pkg) && !strings.Contains(pkg, "/internal")
}

// below says whether path is tree or lies in it.
func below(tree, path string) bool { return path == tree || strings.HasPrefix(path, tree+"/") }
