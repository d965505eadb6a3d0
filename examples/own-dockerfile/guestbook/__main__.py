"""A guest book: aiohttp with PostgreSQL."""

import json
import os

from aiohttp import web

from guestbook.database import Database
from guestbook.greeting import GREETING

DATABASE = web.AppKey("database", Database)
routes = web.RouteTableDef()


@routes.get("/")
async def page(request: web.Request) -> web.Response:
    number, branch = os.environ.get("PREVIEW_PR_NUMBER"), os.environ.get("PREVIEW_BRANCH")
    commit = os.environ.get("PREVIEW_COMMIT_SHA", "")
    where = f"pull request #{number} ({branch}) at {commit[:7]}" if number else "not in a preview"
    visits = await request.app[DATABASE].count_visit("home")
    return web.Response(text=f"{GREETING}\n{where}\nvisitor {visits}, as PostgreSQL remembers\nGET and POST api/notes\n")


@routes.get("/health")
async def health(request: web.Request) -> web.Response:
    """Healthy means that the database answers, not only that the process lives."""
    await request.app[DATABASE].rows("SELECT 1")
    return web.json_response({"status": "ok"})


@routes.get("/api/notes")
async def notes(request: web.Request) -> web.Response:
    return web.json_response(await request.app[DATABASE].rows("SELECT id, message FROM notes ORDER BY id"))


@routes.post("/api/notes")
async def add_note(request: web.Request) -> web.Response:
    try:
        body = await request.json()
    except json.JSONDecodeError:
        body = None
    message = body.get("message") if isinstance(body, dict) else None
    if not isinstance(message, str) or not 1 <= len(message.strip()) <= 280:
        return web.json_response({"error": "message must be a text of 1 to 280 characters"}, status=400)
    insert = "INSERT INTO notes (message) VALUES ($1) RETURNING id, message"
    [added] = await request.app[DATABASE].rows(insert, message.strip())
    return web.json_response(added, status=201)


async def with_database(app: web.Application):
    app[DATABASE] = await Database.open(os.environ["DATABASE_URL"])
    yield
    # Runs once the requests under way are answered.
    await app[DATABASE].close()


app = web.Application(client_max_size=10_000)
app.add_routes(routes)
app.cleanup_ctx.append(with_database)
# Ends on SIGTERM, which is how Docker asks a container to stop. Idle connections are kept longer than a reverse proxy
# does, so that it never sends into one that closes.
web.run_app(app, port=int(os.environ.get("PORT", "8000")), keepalive_timeout=75, shutdown_timeout=8)
