"""`GET /docs`: the routes of a service as one plain page, without scripts and without anything from elsewhere.

A page of the service's own origin may call it as whoever opens it. So no other site's script belongs here, as the usual
viewers of OpenAPI documents load one.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

from starlette.responses import HTMLResponse

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }}
code {{ font-size: 1.05em }} p {{ white-space: pre-wrap }}</style></head>
<body><h1>{title} {version}</h1>
<p>Bodies and answers in full: <a href="openapi.json">openapi.json</a></p>
{routes}
</body></html>
"""


def api_page(document: Mapping[str, Any]) -> HTMLResponse:
    """The page of an OpenAPI document."""
    paths: Mapping[str, Mapping[str, Any]] = document["paths"]
    routes = [_route(path, method, told) for path, methods in paths.items() for method, told in methods.items()]
    info = {name: escape(str(document["info"][name])) for name in ("title", "version")}
    return HTMLResponse(PAGE.format(routes="\n".join(routes), **info), headers={"Content-Security-Policy": POLICY})


def _route(path: str, method: str, told: Mapping[str, Any]) -> str:
    words = escape(told.get("description") or told.get("summary") or "")
    names = ", ".join(escape(f"{one['name']} ({one['in']})") for one in told.get("parameters", ()))
    answers = ", ".join(escape(status) for status in told.get("responses", ()))
    more = f"\n{names}" if names else ""
    return f"<h2><code>{method.upper()} {escape(path)}</code></h2>\n<p>{words}{more}\nAnswers: {answers}</p>"
