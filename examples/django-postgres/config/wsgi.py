"""What gunicorn runs."""

import os

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()

# The database of a preview is empty at first: its tables are made before the first request.
if os.environ.get("PREVIEW"):
    call_command("migrate", interactive=False)
