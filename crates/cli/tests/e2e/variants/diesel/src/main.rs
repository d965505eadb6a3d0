//! The guest book with Diesel, which loads PostgreSQL's own library: the migrations are part of the program, which carries them out
//! before it listens.

use std::env;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel_migrations::{embed_migrations, EmbeddedMigrations, MigrationHarness};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

mod greeting;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

diesel::table! {
    notes (id) {
        id -> Integer,
        message -> Text,
    }
}

diesel::table! {
    visits (page) {
        page -> Text,
        count -> Integer,
    }
}

#[derive(Deserialize, Insertable)]
#[diesel(table_name = notes)]
struct NewNote {
    message: String,
}

#[derive(Serialize, Queryable, Selectable)]
#[diesel(table_name = notes)]
struct Note {
    id: i32,
    message: String,
}

type Database = Arc<Mutex<PgConnection>>;

struct Trouble(diesel::result::Error);

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        eprintln!("the database: {}", self.0);
        (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut connection = PgConnection::establish(&env::var("DATABASE_URL")?)?;
    connection.run_pending_migrations(MIGRATIONS)?;

    let port = env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).await?;
    println!("listening on {}", listener.local_addr()?);
    let app = Router::new()
        .route("/", get(page))
        .route("/health", get(health))
        .route("/api/notes", get(notes).post(add_note))
        .with_state(Arc::new(Mutex::new(connection)));
    axum::serve(listener, app).await?;
    Ok(())
}

/// Diesel waits for its answers, so it gets a thread where nobody else does.
async fn ask<T: Send + 'static>(
    database: Database,
    question: impl FnOnce(&mut PgConnection) -> QueryResult<T> + Send + 'static,
) -> Result<T, Trouble> {
    let asked = move || question(&mut database.lock().unwrap_or_else(PoisonError::into_inner));
    tokio::task::spawn_blocking(asked).await.expect("the question is not cut off").map_err(Trouble)
}

async fn page(State(database): State<Database>) -> Result<String, Trouble> {
    let count = |connection: &mut PgConnection| {
        diesel::insert_into(visits::table)
            .values((visits::page.eq("home"), visits::count.eq(1)))
            .on_conflict(visits::page)
            .do_update()
            .set(visits::count.eq(visits::count + 1))
            .returning(visits::count)
            .get_result::<i32>(connection)
    };
    let visits = ask(database, count).await?;
    Ok(format!("{}\nvisitor {visits}, as PostgreSQL remembers\n", greeting::GREETING))
}

async fn health(State(database): State<Database>) -> Result<&'static str, Trouble> {
    ask(database, |connection| diesel::sql_query("SELECT 1").execute(connection)).await?;
    Ok("ok\n")
}

async fn notes(State(database): State<Database>) -> Result<Json<Vec<Note>>, Trouble> {
    let all = |connection: &mut PgConnection| notes::table.order(notes::id).select(Note::as_select()).load(connection);
    Ok(Json(ask(database, all).await?))
}

async fn add_note(State(database): State<Database>, Json(new): Json<NewNote>) -> Result<Response, Trouble> {
    let insert = move |connection: &mut PgConnection| {
        diesel::insert_into(notes::table).values(new).returning(Note::as_returning()).get_result(connection)
    };
    Ok((StatusCode::CREATED, Json(ask(database, insert).await?)).into_response())
}
