// An agent in Go, with nothing but the standard library. Its work takes less than the lease, 30 s; agent.py has heartbeats.
// ORCHESTRATOR_URL=http://127.0.0.1:8000 ORCHESTRATOR_API_KEY=... go run examples/agent.go faq_agent
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"
)

func call(path string, body map[string]any) (answer map[string]any) {
	sent, _ := json.Marshal(body)
	request, _ := http.NewRequest("POST", os.Getenv("ORCHESTRATOR_URL")+path, bytes.NewReader(sent))
	request.Header = http.Header{"X-Api-Key": {os.Getenv("ORCHESTRATOR_API_KEY")}, "Content-Type": {"application/json"}}
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		defer response.Body.Close()
		err = json.NewDecoder(response.Body).Decode(&answer)
	}
	if err != nil || response.StatusCode >= 400 {
		log.Println(path, err, answer["detail"]) // refused, or the gateway is away
		time.Sleep(time.Second)
	}
	return answer
}

func main() {
	claim := map[string]any{"worker": "go", "max": 1, "wait_ms": 30_000}
	for {
		tasks, _ := call("/agents/"+os.Args[1]+"/claim", claim)["tasks"].([]any)
		for _, item := range tasks {
			held := item.(map[string]any)
			task := held["task"].(map[string]any)
			report := map[string]any{"attempt": held["attempt"], "lease": held["lease"], "result": task["payload"]}
			call("/tasks/"+task["task_id"].(string)+"/complete", report)
		}
	}
}
