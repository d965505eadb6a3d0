import json
import os

from django.db import connection
from django.db.models import F
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from .greeting import GREETING
from .models import Note, Visit


def page(request: HttpRequest) -> HttpResponse:
    number, commit = os.environ.get("PREVIEW_PR_NUMBER"), os.environ.get("PREVIEW_COMMIT_SHA", "")
    where = f"pull request #{number} at {commit[:7]}" if number else "not in a preview"
    visit, _ = Visit.objects.get_or_create(page="home")
    Visit.objects.filter(pk=visit.pk).update(count=F("count") + 1)
    visit.refresh_from_db()
    text = f"{GREETING}\n{where}\nvisitor {visit.count}, as the database remembers\nGET and POST api/notes, or the admin/\n"
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


def health(request: HttpRequest) -> JsonResponse:
    """Healthy means that the database answers, not only that the process lives."""
    connection.ensure_connection()
    return JsonResponse({"status": "ok"})


@csrf_exempt
@require_http_methods(["GET", "POST"])
def notes(request: HttpRequest) -> JsonResponse:
    if request.method == "GET":
        return JsonResponse(list(Note.objects.order_by("id").values("id", "message")), safe=False)
    try:
        message = json.loads(request.body)["message"].strip()
    except (ValueError, KeyError, TypeError, AttributeError):
        message = ""
    if not 1 <= len(message) <= 280:
        return JsonResponse({"error": "message must be a text of 1 to 280 characters"}, status=400)
    note = Note.objects.create(message=message)
    return JsonResponse({"id": note.pk, "message": note.message}, status=201)
