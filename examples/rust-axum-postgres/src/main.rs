//! A guest book: axum with PostgreSQL.

use std::env;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::signal::unix::{signal, SignalKind};
use tokio_postgres::{Client, NoTls};

mod greeting;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS notes (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        message text NOT NULL
    );
    CREATE TABLE IF NOT EXISTS visits (page text PRIMARY KEY, count integer NOT NULL);";

const COUNT_VISIT: &str = "
    INSERT INTO visits (page, count) VALUES ($1, 1)
    ON CONFLICT (page) DO UPDATE SET count = visits.count + 1 RETURNING count";

#[derive(Deserialize)]
struct NewNote {
    message: String,
}

#[derive(Serialize)]
struct Note {
    id: i32,
    message: String,
}

/// A database that does not answer is trouble of the server's own.
struct Trouble(tokio_postgres::Error);

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        eprintln!("the database: {}", self.0);
        (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let (database, connection) = tokio_postgres::connect(&url, NoTls).await?;
    // Without its connection the app is of no use: it ends, and is started again.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            eprintln!("lost the database: {error}");
            std::process::exit(1);
        }
    });
    database.batch_execute(SCHEMA).await?;

    let port = env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).await?;
    println!("listening on {}", listener.local_addr()?);
    let app = Router::new()
        .route("/", get(page))
        .route("/health", get(health))
        .route("/api/notes", get(notes).post(add_note))
        .with_state(Arc::new(database));
    // Docker asks a container to stop by SIGTERM: what is under way is answered first.
    let mut terminate = signal(SignalKind::terminate())?;
    let stopped = async move {
        terminate.recv().await;
    };
    axum::serve(listener, app).with_graceful_shutdown(stopped).await?;
    Ok(())
}

async fn page(State(database): State<Arc<Client>>) -> Result<String, Trouble> {
    let visits: i32 = database.query_one(COUNT_VISIT, &[&"home"]).await?.get(0);
    let commit = env::var("PREVIEW_COMMIT_SHA").unwrap_or_default();
    let place = match env::var("PREVIEW_PR_NUMBER") {
        Ok(number) => format!("pull request #{number} at {}", commit.get(..7).unwrap_or(&commit)),
        Err(_) => "not in a preview".to_owned(),
    };
    let greeting = greeting::GREETING;
    Ok(format!("{greeting}\n{place}\nvisitor {visits}, as PostgreSQL remembers\nGET and POST api/notes\n"))
}

/// Healthy means that the database answers, not only that the process lives.
async fn health(State(database): State<Arc<Client>>) -> Result<&'static str, Trouble> {
    database.simple_query("SELECT 1").await?;
    Ok("ok\n")
}

async fn notes(State(database): State<Arc<Client>>) -> Result<Json<Vec<Note>>, Trouble> {
    let rows = database.query("SELECT id, message FROM notes ORDER BY id", &[]).await?;
    Ok(Json(rows.iter().map(|row| Note { id: row.get(0), message: row.get(1) }).collect()))
}

async fn add_note(State(database): State<Arc<Client>>, Json(new): Json<NewNote>) -> Result<Response, Trouble> {
    let message = new.message.trim();
    if message.is_empty() || message.chars().count() > 280 {
        return Ok((StatusCode::BAD_REQUEST, "message must be a text of 1 to 280 characters\n").into_response());
    }
    let row = database.query_one("INSERT INTO notes (message) VALUES ($1) RETURNING id", &[&message]).await?;
    let note = Note { id: row.get(0), message: message.to_owned() };
    Ok((StatusCode::CREATED, Json(note)).into_response())
}
