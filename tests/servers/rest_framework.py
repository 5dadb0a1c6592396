"""Django REST framework with one resource under each of its ways of paging, and under the Link headers of an add-on.

Run as a program it serves; imported it starts that program.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.servers.process import free_port, running

WAYS = ("number", "offset", "cursor", "link")


@contextmanager
def rest_framework(folder: Path) -> Iterator[str]:
    """Serve airports at ``/number``, ``/offset``, ``/cursor`` and ``/link`` of the URL that is given."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = ["-m", "tests.servers.rest_framework", str(port), str(folder / "django.db")]
    with running(arguments, f"{url}/number", folder / "log"):
        yield url


def _application(file: str) -> Any:
    """Make the application and its table; Django wants to be set up before anything of it is imported."""
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="only-for-tests",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF="airport_routes",
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": file}},
        REST_FRAMEWORK={"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"]},
    )
    django.setup()
    from django.core.wsgi import get_wsgi_application

    # Django finds routes by a module's name.
    routes = ModuleType("airport_routes")
    routes.urlpatterns = _routes()  # type: ignore[attr-defined]
    sys.modules[routes.__name__] = routes
    return get_wsgi_application()


def _routes() -> list[Any]:
    from django.db import connection, models
    from django.urls import path
    from drf_link_header_pagination import LinkHeaderPagination
    from rest_framework import generics, pagination, serializers

    class Airport(models.Model):  # type: ignore[misc] # its base has no types
        faa = models.CharField(max_length=3, primary_key=True)
        name = models.TextField()
        alt = models.IntegerField()

        class Meta:
            app_label = "airports"

    from tests.servers import flights

    with connection.schema_editor() as editor:
        editor.create_model(Airport)
    frame = flights.airports().select("faa", "name", "alt")
    Airport.objects.bulk_create([Airport(**row) for row in frame.iter_rows(named=True)])

    class Serializer(serializers.ModelSerializer):  # type: ignore[misc]
        class Meta:
            model = Airport
            fields = ("faa", "name", "alt")

    class Numbers(pagination.PageNumberPagination):  # type: ignore[misc]
        page_size = 100
        page_size_query_param = "size"
        max_page_size = 100

    class Offsets(pagination.LimitOffsetPagination):  # type: ignore[misc]
        default_limit = 100
        max_limit = 100

    class Cursors(pagination.CursorPagination):  # type: ignore[misc]
        page_size = 100
        ordering = "faa"

    class Links(LinkHeaderPagination):  # type: ignore[misc]
        page_size = 100

    def view(paging: Any) -> Any:
        queryset = Airport.objects.order_by("faa")
        return generics.ListAPIView.as_view(
            queryset=queryset, serializer_class=Serializer, pagination_class=paging
        )

    return [
        path(way, view(paging)) for way, paging in zip(WAYS, (Numbers, Offsets, Cursors, Links), strict=True)
    ]


if __name__ == "__main__":
    from waitress import serve

    serve(_application(sys.argv[2]), listen=f"127.0.0.1:{sys.argv[1]}", threads=4)
