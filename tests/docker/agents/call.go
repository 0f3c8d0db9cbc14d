// SPDX-License-Identifier: Apache-2.0
// An agent with Go's own client: `call N` makes N calls and prints a status a line.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

const body = `{"model": "gpt-4o", "max_tokens": 50, "messages": [{"role": "user", "content": "mock:tokens=4"}]}`

func main() {
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(64)
	}
	for i := 0; i < count; i++ {
		answer, err := http.Post("https://api.openai.com/v1/chat/completions", "application/json", strings.NewReader(body))
		if err != nil {
			fmt.Println(err)
			continue
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		fmt.Println(answer.StatusCode)
	}
}
