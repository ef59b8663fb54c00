"""Logs as JSON, one line per entry, as Cloud Logging and its like read them. On with `CRP_LOG_FORMAT=json`.

Every process says it the same way: the API, commands, code servers, and runs, whose lines name run, asset and
partition. Nothing personal gets into a line: fields that are personal by their name, e-mail addresses, long numbers and
API keys are struck out of messages, fields and stack traces alike.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from types import TracebackType
from typing import Any

from credit_risk_platform.domain.privacy import blurred, is_personal
from credit_risk_platform.settings import LogFormat, Settings

ACCESS = logging.getLogger("credit_risk_platform.access")
"""One line per call of the API. The audit log has them in any case, so they are only told in JSON."""
STRUCK = "[redacted]"
_ASSET_STEP = re.compile(r"(bronze|silver|gold|models|monitoring)__\w+")
_KEY = re.compile(r"crp_[0-9a-f]{12}_[0-9a-f]{64}")
_NAME = re.compile(r"""\b([A-Za-z_]\w*)["']?\s*[:=]\s*""")
_VALUE = re.compile(r""""[^"]*"|'[^']*'|[^\s,;&)}\]]+""")


def install(settings: Settings) -> None:
    """Set this process up as the settings say; installing twice is installing once. Text is left as it is."""
    ACCESS.setLevel(logging.WARNING)
    if settings.log_format is not LogFormat.JSON:
        return
    ACCESS.setLevel(logging.INFO)
    logging.setLoggerClass(_JsonLogger)
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler())
        root.setLevel(logging.INFO)
    for logger in (root, *logging.root.manager.loggerDict.values()):
        for handler in getattr(logger, "handlers", ()):
            _format(handler)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught


@cache
def formatter() -> logging.Formatter:
    """The formatter of structlog over records of the standard library."""
    import structlog

    chain: tuple[Any, ...] = (_fields, _without_persons, structlog.processors.JSONRenderer(default=str))
    return structlog.stdlib.ProcessorFormatter(processors=chain)


class _JsonLogger(logging.Logger):
    """A logger made from now on. Dagster makes one with a console of its own for each run."""

    def addHandler(self, handler: logging.Handler) -> None:
        _format(handler)
        super().addHandler(handler)


def _format(handler: logging.Handler) -> None:
    if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
        handler.setFormatter(formatter())


def _fields(_: Any, __: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """The entry of a record: severity, time and message as Cloud Logging calls them, then where it came from."""
    record: logging.LogRecord = event["_record"]
    told = getattr(record, "dagster_meta", None)
    return {
        "severity": record.levelname,
        "time": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
        "message": told["orig_message"] if told else event["event"],
        "logger": record.name,
        "process": record.process,
        **(dict(_run(told)) if told else {}),
        **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        **_error(event.get("exc_info") or record.exc_info),
    }


def _run(told: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What Dagster knows about a line of a run."""
    event, step = told["dagster_event"], told["step_key"]
    yield "run_id", told["run_id"]
    yield "job", told["job_name"]
    if step:
        yield "step", step
    asset = getattr(event, "asset_key", None)
    if asset is not None:
        yield "asset", asset.to_user_string()
    elif step and _ASSET_STEP.fullmatch(step):
        yield "asset", step.replace("__", "/")
    partition = getattr(event, "partition", None) or told["job_tags"].get("dagster/partition")
    if partition:
        yield "partition", partition
    if event is not None:
        yield "event", event.event_type_value
        failure = getattr(event.event_specific_data, "error", None)
        if failure is not None:
            yield "exception_type", failure.cls_name
            yield "stack_trace", failure.to_string()


def _error(exc_info: Any) -> dict[str, str]:
    """Type and stack of an exception, on the line of its message."""
    if exc_info is True:
        exc_info = sys.exc_info()
    if not exc_info or exc_info[0] is None:
        return {}
    return {"exception_type": exc_info[0].__qualname__, "stack_trace": "".join(traceback.format_exception(*exc_info))}


def _without_persons(_: Any, __: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    return {name: STRUCK if _personal(name) else redacted(value) for name, value in event.items()}


def redacted(value: Any) -> Any:
    """A value of a field without persons, whatever it holds."""
    if isinstance(value, str):
        return _struck(_KEY.sub(STRUCK, blurred(value)))
    if isinstance(value, Mapping):
        return {str(name): STRUCK if _personal(str(name)) else redacted(held) for name, held in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redacted(held) for held in value]
    return value if value is None or isinstance(value, (bool, int, float)) else redacted(str(value))


def _struck(text: str) -> str:
    """The text without the values of what is personal by its name: `customer_id=C-1`, `"phone": "..."`."""
    kept, place = [], 0
    for found in _NAME.finditer(text):
        value = _VALUE.match(text, found.end())
        if found.start() >= place and value and _personal(found[1]):
            kept += [text[place : found.end()], STRUCK]
            place = value.end()
    return "".join([*kept, text[place:]])


def _uncaught(kind: type[BaseException], error: BaseException, stack: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, stack)
    else:
        logging.getLogger(__name__).critical("ended by %s", kind.__qualname__, exc_info=(kind, error, stack))


_personal = lru_cache(maxsize=10_000)(is_personal)
"""The same few names come with every line."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message", "asctime", "dagster_meta", "dagster_event", "dagster_event_batch_metadata", "color_message",
    "hostname", "username", "programname",
}  # fmt: skip
