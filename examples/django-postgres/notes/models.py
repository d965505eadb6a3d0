from django.db import models


class Note(models.Model):
    message = models.CharField(max_length=280)

    def __str__(self) -> str:
        return self.message


class Visit(models.Model):
    """How often a page was opened."""

    page = models.CharField(max_length=40, unique=True)
    count = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.page}: {self.count}"
