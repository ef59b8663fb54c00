"""Every error of the API: an RFC 9457 problem that names what was wrong, where, and what to send instead.

No problem repeats a value that the caller sent: it may be somebody's income. Names of fields are repeated, shortened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from enum import Enum
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 50
"""Errors listed in one problem: a body of ten thousand unknown fields must not make a larger answer."""


class Kind(Enum):
    """Slug, status and title of every problem there is. A slug never changes its meaning."""

    MALFORMED = "malformed-json", 400, "The body is not JSON"
    UNAUTHENTICATED = "unauthenticated", 401, "No valid API key"
    FORBIDDEN = "forbidden", 403, "The role of this key may not do this"
    NOT_FOUND = "not-found", 404, "There is nothing here"
    METHOD = "method-not-allowed", 405, "This method does not apply here"
    CONFLICT = "conflict", 409, "The same application was sent before"
    TOO_LARGE = "body-too-large", 413, "The body is too large"
    MEDIA = "unsupported-media-type", 415, "The body is not declared as JSON"
    INVALID = "invalid-request", 422, "The request does not fit the schema"
    RATE = "rate-limited", 429, "Too many requests"
    HEADERS = "headers-too-large", 431, "The headers are too large"
    INTERNAL = "internal-error", 500, "The server failed on this request"
    NOT_READY = "not-ready", 503, "The service cannot score yet"
    OTHER = "other", 400, "The request was refused"

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.slug, self.status, self.title = slug, status, title


_OF_STATUS = {kind.status: kind for kind in Kind if kind is not Kind.OTHER}


class FieldError(BaseModel):
    """One thing that is wrong with one field."""

    field: str = Field(description="Path in the request, as `customers[3].annual_income`; empty for the whole body.")
    code: str = Field(description="Stable name of the fault, as `unknown-field`.")
    detail: str = Field(description="What is wrong.")
    fix: str = Field(description="What to send instead.")


class ProblemBody(BaseModel):
    """Problem details (RFC 9457)."""

    type: str = Field(description="Relative URI of the kind of problem, as `/problems/invalid-request`.")
    title: str
    status: int
    detail: str
    instance: str = Field(description="Id of this request, also in the header `X-Request-ID` and in the audit log.")
    errors: list[FieldError] = Field(description=f"At most {MOST_ERRORS} are listed.")


class Problem(HTTPException):
    """Raised anywhere below a route; becomes the answer. An HTTPException, which FastAPI lets pass where it reads."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        errors: Sequence[FieldError] = (),
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status or kind.status, detail, dict(headers or {}))
        self.kind = kind
        self.errors = list(errors)

    def body(self, instance: str) -> dict[str, Any]:
        """The members of RFC 9457, and `errors`."""
        return {
            "type": f"/problems/{self.kind.slug}",
            "title": self.kind.title,
            "status": self.status_code,
            "detail": self.detail,
            "instance": instance,
            "errors": [error.model_dump() for error in self.errors[:MOST_ERRORS]],
        }

    def response(self, instance: str) -> JSONResponse:
        return JSONResponse(self.body(instance), self.status_code, headers=self.headers, media_type=MEDIA_TYPE)


def install(app: FastAPI, known_fields: Iterable[str] = ()) -> None:
    """Answer every error of `app` with a problem. An unknown field is told which of `known_fields` it resembles.

    Exceptions that nobody expected are answered by `serving.security`'s middleware, outside of all routes.
    """
    known = tuple(known_fields)

    async def problem(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return error.response(request_id(request))

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return _invalid(error.errors(), known).response(request_id(request))

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return _of_http(error).response(request_id(request))

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, refused)
    _declare(app)


def request_id(request: Request) -> str:
    """The id that `serving.security`'s middleware gave this request; empty where it is not installed."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def responses(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that can end in these problems, for the OpenAPI document."""
    schema = {"$ref": "#/components/schemas/ProblemBody"}
    return {kind.status: {"description": kind.title, "content": {MEDIA_TYPE: {"schema": schema}}} for kind in kinds}


def field_errors(error: ValidationError, known: Iterable[str] = (), prefix: str = "") -> list[FieldError]:
    """The same list for one item of a batch, which is refused while the others are scored."""
    found = error.errors(include_url=False, include_input=False)
    return [_field_error(one, tuple(known), prefix) for one in found[:MOST_ERRORS]]


# ---------------------------------------------------------------- from other people's errors

_NUMBER = "Send a JSON number, without quotes; leave the field out when it is unknown."
_RANGE = "out-of-range"
_FAULTS: dict[str, tuple[str, str]] = {
    "missing": ("missing", "Send this field."),
    "extra_forbidden": ("unknown-field", "Leave it out."),
    "finite_number": ("not-finite", "Send a finite number; leave the field out when it is unknown."),
    "greater_than": (_RANGE, "Send a number above {gt}."),
    "greater_than_equal": (_RANGE, "Send a number of at least {ge}."),
    "less_than": (_RANGE, "Send a number below {lt}."),
    "less_than_equal": (_RANGE, "Send a number of at most {le}."),
    "string_too_short": ("wrong-length", "Send at least {min_length} characters."),
    "string_too_long": ("wrong-length", "Send at most {max_length} characters."),
    "too_short": ("wrong-length", "Send at least {min_length} items."),
    "too_long": ("wrong-length", "Send at most {max_length} items in one request."),
    "literal_error": ("not-allowed", "Send one of: {expected}."),
    "enum": ("not-allowed", "Send one of: {expected}."),
    "string_pattern_mismatch": ("wrong-format", "Send text that matches {pattern}."),
    "int_from_float": ("wrong-type", "Send a whole number."),
    "string_type": ("wrong-type", "Send a JSON string."),
    "list_type": ("wrong-type", "Send a JSON array."),
    "model_attributes_type": ("wrong-type", "Send a JSON object."),
    "model_type": ("wrong-type", "Send a JSON object."),
    "dict_type": ("wrong-type", "Send a JSON object."),
    "json_invalid": ("malformed-json", "Send one JSON object, in UTF-8."),
}
_UNREADABLE = FieldError(field="", code="malformed-json", detail="not readable", fix=_FAULTS["json_invalid"][1])
_PLACES = ("body", "query", "path", "header")


def _invalid(found: Sequence[Mapping[str, Any]], known: tuple[str, ...]) -> Problem:
    errors = [_field_error(one, known) for one in found[:MOST_ERRORS]]
    if errors and errors[0].code == "malformed-json":
        return Problem(Kind.MALFORMED, "The body could not be read as JSON.", errors)
    more = f", the first {MOST_ERRORS} of them listed" if len(found) > MOST_ERRORS else ""
    return Problem(Kind.INVALID, f"{len(found)} of the things sent do not fit the schema{more}.", errors)


def _field_error(error: Mapping[str, Any], known: tuple[str, ...], prefix: str = "") -> FieldError:
    kind = str(error["type"])
    field = (prefix + _path(error["loc"])).rstrip(".")
    code, fix = _FAULTS.get(kind, ("wrong-type", "") if kind.endswith(("_type", "_parsing")) else ("wrong-value", ""))
    if not fix:
        number = kind.startswith(("float", "int", "decimal"))
        fix = _NUMBER if number else "Send what the schema at /docs asks for."
    context = error.get("ctx", {})
    if kind == "extra_forbidden":
        near = get_close_matches(str(error["loc"][-1])[:64], known, 1)
        fix = f"Did you mean `{near[0]}`? Otherwise leave it out." if near else fix
    if kind == "json_invalid":
        return FieldError(field="", code=code, detail=f"JSON: {context.get('error', 'cannot be read')}", fix=fix)
    return FieldError(field=field, code=code, detail=str(error["msg"]), fix=fix.format_map(_Context(context)))


class _Context(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return f"the {key} of the schema"


def _path(parts: Sequence[Any]) -> str:
    """`("body", "customers", 3, "age")` as `customers[3].age`."""
    if parts and parts[0] in _PLACES:
        parts = parts[1:]
    path = ""
    for part in parts:
        name = re.sub(r"[^\w.\-]", "?", str(part))[:64]
        path += f"[{part}]" if isinstance(part, int) else f".{name}" if path else name
    return path


_HINTS = {
    404: "No route or no such object. The routes are listed at /docs.",
    405: "This route answers other methods: see the header Allow, and /docs.",
}


def _of_http(error: HTTPException) -> Problem:
    kind = _OF_STATUS.get(error.status_code, Kind.OTHER)
    detail = _HINTS.get(error.status_code, str(error.detail))
    errors = [_UNREADABLE] if kind is Kind.MALFORMED else []  # FastAPI's word for bytes that are no UTF-8
    return Problem(kind, detail, errors, status=error.status_code, headers=error.headers)


def _declare(app: FastAPI) -> None:
    """Put the schema that `responses` refers to into the OpenAPI document, and FastAPI's own of errors out of it."""
    generate = app.openapi
    problem = responses(Kind.INVALID)[Kind.INVALID.status]

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schema = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}), ProblemBody=schema)
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            for operation in (one for path in document["paths"].values() for one in path.values()):
                if "HTTPValidationError" in str(operation["responses"].get("422")):
                    operation["responses"]["422"] = problem
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
