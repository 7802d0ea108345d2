export HOME=$PWD GOCACHE=$PWD/cache GOFLAGS=-mod=mod GOTOOLCHAIN=local
cat > a.go <<'G'
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"sync"
	"time"
)

func main() {
	var group sync.WaitGroup
	numbers := make(chan int, 1000)
	for i := 0; i < 1000; i++ {
		group.Add(1)
		go func(i int) { defer group.Done(); numbers <- i }(i)
	}
	group.Wait()
	close(numbers)
	sum := 0
	for n := range numbers {
		sum += n
	}
	fmt.Println(sum)
	done := make(chan bool)
	go func() { for {} }() // preempted by SIGURG
	go func() { time.Sleep(50 * time.Millisecond); done <- true }()
	<-done
	fmt.Println("preempted")
	out, _ := exec.Command("echo", "sub").Output()
	fmt.Print(string(out))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	answer, err := http.Get(server.URL + "/path")
	if err != nil {
		panic(err)
	}
	body, _ := io.ReadAll(answer.Body)
	fmt.Println(string(body))
	func() {
		defer func() { fmt.Println("recovered:", recover()) }()
		var nothing *struct{ x int }
		fmt.Println(nothing.x)
	}()
	fmt.Println(errors.Is(fmt.Errorf("w: %w", io.EOF), io.EOF))
}
G
go build -o a a.go && ./a && go vet a.go && echo vetted
