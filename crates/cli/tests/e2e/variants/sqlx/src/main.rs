//! The guest book with sqlx: its migrations are part of the program, which carries them out before it listens.

use std::env;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::net::TcpListener;

mod greeting;

const COUNT_VISIT: &str = "
    INSERT INTO visits (page, count) VALUES ('home', 1)
    ON CONFLICT (page) DO UPDATE SET count = visits.count + 1 RETURNING count";

#[derive(Deserialize)]
struct NewNote {
    message: String,
}

#[derive(Serialize, sqlx::FromRow)]
struct Note {
    id: i32,
    message: String,
}

struct Trouble(sqlx::Error);

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
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
    let pool = PgPool::connect(&env::var("DATABASE_URL")?).await?;
    sqlx::migrate!().run(&pool).await?;

    let port = env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).await?;
    println!("listening on {}", listener.local_addr()?);
    let app = Router::new()
        .route("/", get(page))
        .route("/health", get(health))
        .route("/api/notes", get(notes).post(add_note))
        .with_state(pool);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn page(State(pool): State<PgPool>) -> Result<String, Trouble> {
    let visits: i32 = sqlx::query_scalar(COUNT_VISIT).fetch_one(&pool).await?;
    Ok(format!("{}\nvisitor {visits}, as PostgreSQL remembers\n", greeting::GREETING))
}

async fn health(State(pool): State<PgPool>) -> Result<&'static str, Trouble> {
    sqlx::query("SELECT 1").execute(&pool).await?;
    Ok("ok\n")
}

async fn notes(State(pool): State<PgPool>) -> Result<Json<Vec<Note>>, Trouble> {
    Ok(Json(sqlx::query_as("SELECT id, message FROM notes ORDER BY id").fetch_all(&pool).await?))
}

async fn add_note(State(pool): State<PgPool>, Json(new): Json<NewNote>) -> Result<Response, Trouble> {
    let insert = "INSERT INTO notes (message) VALUES ($1) RETURNING id, message";
    let note: Note = sqlx::query_as(insert).bind(new.message).fetch_one(&pool).await?;
    Ok((StatusCode::CREATED, Json(note)).into_response())
}
