"""Notes: FastAPI with SQLAlchemy."""

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel
from sqlalchemy import func, select

from app.database import Note, Session
from app.greeting import GREETING

app = FastAPI()


class NewNote(BaseModel):
    message: str


@app.get("/", response_class=PlainTextResponse)
async def page() -> str:
    async with Session() as session:
        return f"{GREETING}\n{await session.scalar(select(func.count(Note.id)))} notes\n"


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/api/notes")
async def notes() -> list[dict]:
    async with Session() as session:
        return [{"id": note.id, "message": note.message} for note in await session.scalars(select(Note).order_by(Note.id))]


@app.post("/api/notes", status_code=201)
async def add_note(new: NewNote) -> dict:
    async with Session.begin() as session:
        note = Note(message=new.message)
        session.add(note)
        await session.flush()
        return {"id": note.id, "message": note.message}
