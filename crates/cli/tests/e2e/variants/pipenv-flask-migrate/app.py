"""Notes: Flask with Flask-SQLAlchemy; Flask-Migrate makes the table."""

import os

from flask import Flask, Response, jsonify, request
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

from greeting import GREETING

db = SQLAlchemy()
migrate = Migrate()


class Note(db.Model):
    __tablename__ = "notes"

    id = db.Column(db.Integer, primary_key=True)
    message = db.Column(db.String(280), nullable=False)

    def shown(self) -> dict:
        return {"id": self.id, "message": self.message}


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db.init_app(app)
    migrate.init_app(app, db)

    @app.get("/")
    def page() -> Response:
        return Response(f"{GREETING}\n{db.session.query(Note).count()} notes\n", mimetype="text/plain")

    @app.get("/health")
    def health() -> Response:
        return jsonify(status="ok")

    @app.get("/api/notes")
    def notes() -> Response:
        return jsonify([note.shown() for note in db.session.query(Note).order_by(Note.id)])

    @app.post("/api/notes")
    def add_note() -> tuple[Response, int]:
        note = Note(message=request.get_json()["message"])
        db.session.add(note)
        db.session.commit()
        return jsonify(note.shown()), 201

    return app
