// Hello answers one friendly page. It needs nothing but the standard library.
package main

import (
	"context"
	_ "embed"
	"html/template"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

//go:embed page.html
var pageSource string

var page = template.Must(template.New("page").Parse(pageSource))

func main() {
	// SIGTERM is how Docker asks a container to stop.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()

	if err := serve(ctx, net.JoinHostPort("", portOr("8080"))); err != nil {
		log.Fatal(err)
	}
}

func portOr(fallback string) string {
	if port := os.Getenv("PORT"); port != "" {
		return port
	}
	return fallback
}

// serve answers until ctx ends, then finishes the requests under way.
func serve(ctx context.Context, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	log.Printf("listening on %s", listener.Addr())

	server := &http.Server{
		Handler:           routes(),
		ReadHeaderTimeout: 5 * time.Second,
		// Longer than a reverse proxy keeps idle connections, so that it never sends into one that closes.
		IdleTimeout: 75 * time.Second,
	}

	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}

	log.Print("stopping: finishing the requests under way")
	deadline, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	return server.Shutdown(deadline)
}

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/health", health)
	mux.HandleFunc("/", home)
	return mux
}

func health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Write([]byte(`{"status":"ok"}` + "\n"))
}

func home(w http.ResponseWriter, r *http.Request) {
	// The pattern "/" of net/http matches every path that no other pattern does.
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	err := page.Execute(w, map[string]string{
		"Greeting":    greeting,
		"Go":          runtime.Version(),
		"PullRequest": os.Getenv("PREVIEW_PR_NUMBER"),
		"Branch":      os.Getenv("PREVIEW_BRANCH"),
		"Commit":      short(os.Getenv("PREVIEW_COMMIT_SHA")),
	})
	if err != nil {
		log.Printf("could not write the page: %v", err)
	}
}

func short(commit string) string {
	if len(commit) > 7 {
		return commit[:7]
	}
	return commit
}
