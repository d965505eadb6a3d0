"""A guest book: FastAPI with PostgreSQL."""

import os
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, StringConstraints

from app.database import Database
from app.greeting import GREETING


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.database = Database()
    await app.state.database.open()
    yield
    # Runs once the requests under way are answered.
    await app.state.database.close()


app = FastAPI(title="Guest book", lifespan=lifespan)


class NewNote(BaseModel):
    message: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=280)]


class Note(NewNote):
    id: int


@app.get("/", response_class=PlainTextResponse)
async def page() -> str:
    number, commit = os.environ.get("PREVIEW_PR_NUMBER"), os.environ.get("PREVIEW_COMMIT_SHA", "")
    where = f"pull request #{number} at {commit[:7]}" if number else "not in a preview"
    visits = await app.state.database.count_visit("home")
    return f"{GREETING}\n{where}\nvisitor {visits}, as PostgreSQL remembers\nGET and POST api/notes, or try docs\n"


@app.get("/health")
async def health() -> dict[str, str]:
    """Healthy means that the database answers, not only that the process lives."""
    await app.state.database.rows("SELECT 1")
    return {"status": "ok"}


@app.get("/api/notes")
async def notes() -> list[Note]:
    return await app.state.database.rows("SELECT id, message FROM notes ORDER BY id")


@app.post("/api/notes", status_code=201)
async def add_note(note: NewNote) -> Note:
    [added] = await app.state.database.rows("INSERT INTO notes (message) VALUES (%s) RETURNING id, message", note.message)
    return added
