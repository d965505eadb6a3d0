// Guestbook counts its visitors in PostgreSQL.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/guestbook/internal/book"
)

func main() {
	// SIGTERM is how Docker asks a container to stop.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends, then finishes the requests under way.
func run(ctx context.Context) error {
	visits, err := book.Open(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	server := &http.Server{
		Addr:              net.JoinHostPort("", port),
		Handler:           routes(visits),
		ReadHeaderTimeout: 5 * time.Second,
		// Longer than a reverse proxy keeps idle connections, so that it never sends into one that closes.
		IdleTimeout: 75 * time.Second,
	}
	go func() {
		<-ctx.Done()
		deadline, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		server.Shutdown(deadline)
	}()
	log.Printf("listening on %s", server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func routes(visits *book.Book) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) {
		if err := visits.Answers(r.Context()); err != nil {
			http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		count, err := visits.Visit(r.Context(), r.URL.Path)
		if err != nil {
			log.Printf("could not count a visit: %v", err)
			http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "%s\nYou are visitor %d.\n%s\n", greeting, count, whereabouts())
	})
	return mux
}

// whereabouts tells which preview this is.
func whereabouts() string {
	number, commit := os.Getenv("PREVIEW_PR_NUMBER"), os.Getenv("PREVIEW_COMMIT_SHA")
	if number == "" {
		return "not in a preview"
	}
	return fmt.Sprintf("pull request #%s at %.7s", number, commit)
}
