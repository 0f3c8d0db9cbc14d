// SPDX-License-Identifier: Apache-2.0
// An agent with Go's own client: `call N [FILE]` makes N calls and prints a status a line. With FILE, the last one waits until it is there. Its exit
// status is 1 where a call was refused.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const body = `{"model": "gpt-4o", "max_tokens": 50, "messages": [{"role": "user", "content": "mock:tokens=4"}]}`

func wait(path string) {
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func main() {
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(64)
	}
	status := 0
	for i := 0; i < count; i++ {
		if i == count-1 && len(os.Args) > 2 {
			wait(os.Args[2])
		}
		answer, err := http.Post("https://api.openai.com/v1/chat/completions", "application/json", strings.NewReader(body))
		if err != nil {
			fmt.Println(err)
			continue
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		fmt.Println(answer.StatusCode)
		if answer.StatusCode != http.StatusOK {
			status = 1
		}
	}
	os.Exit(status)
}
