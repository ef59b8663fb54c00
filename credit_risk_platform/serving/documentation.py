"""What /docs and the OpenAPI document say beyond the routes: the text, the request bodies, their examples."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field

from credit_risk_platform.serving.intake import LIST
from credit_risk_platform.serving.schemas import EXAMPLE, FULLER_EXAMPLE, MOST_ITEMS, Application

_REF = "#/components/schemas/{model}"

ABOUT: dict[str, Any] = {
    "title": "Credit risk scoring API",
    "version": "1",
    "summary": "Probability of default, decision and reasons for one application or ten thousand.",
    "description": f"""
Every score is computed by the promoted champion under the decision policy in force, exactly as the nightly portfolio
run and the stream compute it, and stands in an append-only ledger: ask for it again by its `score_id`.

* **Authenticate** with `Authorization: Bearer crp_...` or `X-API-Key`; `crp keys create` makes keys.
* **A field that is left out is missing.** It never counts as zero. An unknown field is refused, by name.
* **Errors** are problem details (RFC 9457): `errors` lists each field with what to send instead.
* **The same application, the same score.** Send an `id` of your own to make that explicit: another content under the
  same id on the same day is refused.
* At most {MOST_ITEMS:,} applications or 10 MB in one request.
""",
    "openapi_tags": [
        {"name": "scoring", "description": "New applications in, decisions out."},
        {"name": "scores", "description": "Scores that were given, from the ledger."},
        {"name": "operations", "description": "For the machine that runs the API."},
    ],
    # Spans and logs of requests would carry what callers send to wherever the environment points.
    "telemetry": {"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    "swagger_ui_parameters": {"displayRequestDuration": True, "defaultModelsExpandDepth": 0, "tryItOutEnabled": True},
}


class Ready(BaseModel):
    """What scores now."""

    status: str
    model_version: str
    model_name: str
    bundle_sha: str
    policy_version: str
    waiting_for_ledger: int = Field(description="Answered calls that the ledger will have within seconds.")
    notes: list[str] = Field(description="What is wrong although applications are scored; empty when nothing is.")


def _body(schema: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema, "examples": examples}}}
    }


_APPLICATION = {"$ref": _REF.format(model="Application")}
ONE_BODY = _body(
    _APPLICATION,
    {
        "simple": {"summary": "The ten simple fields", "value": EXAMPLE},
        "fuller": {"summary": "A fuller application", "value": FULLER_EXAMPLE},
    },
)
BATCH_BODY = _body(
    {
        "type": "object",
        "required": [LIST],
        "additionalProperties": False,
        "properties": {LIST: {"type": "array", "minItems": 1, "maxItems": MOST_ITEMS, "items": _APPLICATION}},
    },
    {"two": {"summary": "One of each kind", "value": {LIST: [EXAMPLE, FULLER_EXAMPLE]}}},
)


def install(app: FastAPI) -> None:
    """Put the application's schema into the OpenAPI document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "Application" not in schemas:
            schemas["Application"] = Application.model_json_schema(ref_template=_REF)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
