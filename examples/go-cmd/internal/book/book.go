// Package book remembers how often a page was opened, in PostgreSQL.
package book

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	_ "github.com/lib/pq" // the driver "postgres"
)

// How long a database that is still starting is waited for.
const patience = 30 * time.Second

const schema = `CREATE TABLE IF NOT EXISTS visits (page text PRIMARY KEY, count bigint NOT NULL)`

// Book counts visits.
type Book struct{ db *sql.DB }

// Open connects to the database at url and makes its table, once it answers.
func Open(ctx context.Context, url string) (*Book, error) {
	if url == "" {
		return nil, fmt.Errorf("DATABASE_URL is not set, for example postgres://user:password@localhost:5432/guestbook")
	}
	db, err := sql.Open("postgres", url)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(5)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if _, err = db.ExecContext(ctx, schema); err == nil {
			return &Book{db}, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the database is not ready: %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Visit counts one more visit of a page and tells how many there were.
func (b *Book) Visit(ctx context.Context, page string) (count int64, err error) {
	const countOne = `INSERT INTO visits (page, count) VALUES ($1, 1)
		ON CONFLICT (page) DO UPDATE SET count = visits.count + 1 RETURNING count`
	err = b.db.QueryRowContext(ctx, countOne, page).Scan(&count)
	return count, err
}

// Answers tells whether the database does.
func (b *Book) Answers(ctx context.Context) error { return b.db.PingContext(ctx) }
