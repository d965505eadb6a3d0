"""A guest book: Flask with PostgreSQL, in one file."""

import os

import psycopg2
from flask import Flask, Response, jsonify, request
from psycopg2.pool import ThreadedConnectionPool

from greeting import GREETING

SCHEMA = """
    CREATE TABLE IF NOT EXISTS notes (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        message text NOT NULL
    );
    CREATE TABLE IF NOT EXISTS visits (page text PRIMARY KEY, count integer NOT NULL);
"""

COUNT_VISIT = """
    INSERT INTO visits (page, count) VALUES (%s, 1)
    ON CONFLICT (page) DO UPDATE SET count = visits.count + 1 RETURNING count
"""


class Database:
    """A connection for each of the server's threads."""

    def __init__(self, url: str) -> None:
        self.pool = ThreadedConnectionPool(1, 8, url)

    def rows(self, query: str, *values: object) -> list[tuple]:
        connection = self.pool.getconn()
        broken = False
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(query, values)
                return cursor.fetchall() if cursor.description else []
        except psycopg2.OperationalError:
            broken = True
            raise
        finally:
            # One that was lost is not kept: the next asks for a new one.
            self.pool.putconn(connection, close=broken)


def create_app() -> Flask:
    app = Flask(__name__)
    database = Database(os.environ["DATABASE_URL"])
    database.rows(SCHEMA)

    @app.get("/")
    def page() -> Response:
        number, commit = os.environ.get("PREVIEW_PR_NUMBER"), os.environ.get("PREVIEW_COMMIT_SHA", "")
        where = f"pull request #{number} at {commit[:7]}" if number else "not in a preview"
        [(visits,)] = database.rows(COUNT_VISIT, "home")
        text = f"{GREETING}\n{where}\nvisitor {visits}, as PostgreSQL remembers\nGET and POST api/notes\n"
        return Response(text, mimetype="text/plain")

    @app.get("/health")
    def health() -> Response:
        """Healthy means that the database answers, not only that the process lives."""
        database.rows("SELECT 1")
        return jsonify(status="ok")

    @app.get("/api/notes")
    def notes() -> Response:
        found = database.rows("SELECT id, message FROM notes ORDER BY id")
        return jsonify([{"id": id, "message": message} for id, message in found])

    @app.post("/api/notes")
    def add_note() -> tuple[Response, int]:
        body = request.get_json(silent=True)
        message = body.get("message") if isinstance(body, dict) else None
        if not isinstance(message, str) or not 1 <= len(message.strip()) <= 280:
            return jsonify(error="message must be a text of 1 to 280 characters"), 400
        [(id,)] = database.rows("INSERT INTO notes (message) VALUES (%s) RETURNING id", message.strip())
        return jsonify(id=id, message=message.strip()), 201

    return app
