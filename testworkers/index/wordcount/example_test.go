package wordcount_test

import (
	"fmt"

	"github.com/stdcrew/stdcrew/testworkers/index/wordcount"
)

func Example() {
	words := wordcount.Count([]byte("To be, or not to be: that is the question."))
	fmt.Println(words["to"], words["be"], words["question"])
	// Output: 2 2 1
}
