from django.contrib import admin
from django.urls import path

from notes import views

urlpatterns = [
    path("", views.page),
    path("health", views.health),
    path("api/notes", views.notes),
    path("admin/", admin.site.urls),
]
