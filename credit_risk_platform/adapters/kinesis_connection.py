"""How every client of ours reaches Kinesis, and what its refusals mean: one place for both.

Credentials are boto3's own affair (a role, a profile, the environment): none passes through here, and no message of
ours repeats what AWS says about them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from credit_risk_platform.adapters.kafka_ports import is_loopback
from credit_risk_platform.adapters.streaming.batch import NotReadyError

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 3, 10, 4
"""A tick or a run would rather hear soon that Kinesis is away; botocore waits longer after each attempt."""

ABSENT = frozenset({"ResourceNotFoundException"})
BUSY = frozenset({"ProvisionedThroughputExceededException", "LimitExceededException", "ThrottlingException"})
EXPIRED_ITERATOR = "ExpiredIteratorException"
_CREDENTIALS = frozenset(
    {
        "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch",
        "IncompleteSignature", "IncompleteSignatureException", "MissingAuthenticationToken",
        "MissingAuthenticationTokenException", "ExpiredToken", "ExpiredTokenException", "OptInRequired",
    }
)  # fmt: skip
_RIGHTS = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"})
_SAFE = "Nothing is lost: messages wait in the stream."


@dataclass(frozen=True)
class KinesisConnection:
    """Which Kinesis. `endpoint_url` is that of a stand-in; AWS itself when unset."""

    region: str | None = None
    endpoint_url: str | None = None

    @property
    def where(self) -> str:
        if self.endpoint_url:
            found = urlsplit(self.endpoint_url)  # without a password that someone may have put before the @
            return f"{found.scheme}://{found.hostname}" + (f":{found.port}" if found.port else "")
        return f"AWS {self.region}" if self.region else "AWS"

    def client(self) -> Any:
        """A new client, of a session of its own. Whoever makes it closes it. Raises `NotReadyError`."""
        if self.endpoint_url and _in_the_clear(self.endpoint_url):
            raise NotReadyError(
                f"CRP_KINESIS_ENDPOINT_URL is {self.where}: messages would travel in the clear. Use https; http is for "
                "a stand-in on this machine."
            )
        from boto3.session import Session
        from botocore.config import Config

        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        )
        with asking(self.where, ""):
            return Session().client("kinesis", self.region, endpoint_url=self.endpoint_url, config=config)


def _in_the_clear(url: str) -> bool:
    found = urlsplit(url)
    return found.scheme != "https" and not is_loopback(found.hostname or "")


def code_of(error: Exception) -> str:
    """AWS's name of a refusal; empty for everything else."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


@contextmanager
def asking(where: str, stream: str) -> Iterator[None]:
    """What AWS or the way there refuses within the block, as a `NotReadyError` that says what to do."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise NotReadyError(_refusal(code_of(error), error.operation_name, where, stream)) from None
    except BotoCoreError as error:
        raise NotReadyError(_away(error, where)) from None


def _refusal(code: str, operation: str, where: str, stream: str) -> str:
    """Without AWS's own text: it may quote what was signed, and with whose key."""
    if code in ABSENT:
        return f"stream {stream} is not in Kinesis at {where}: make it with `crp kinesis up`"
    if code in _CREDENTIALS:
        return (
            f"Kinesis at {where} does not accept the AWS credentials ({code}). Renew those that boto3 finds: the role "
            f"of this machine, AWS_PROFILE, or AWS_ACCESS_KEY_ID and what belongs to it. {_SAFE}"
        )
    if code in _RIGHTS:
        return (
            f"These AWS credentials may not kinesis:{operation} on {stream}. Add it to the policy of their role; "
            f"docs/kinesis.md has the whole list. {_SAFE}"
        )
    if code in BUSY:
        return (
            f"Kinesis at {where} is asked more of {stream} than it bears ({code} on {operation}). Stop other readers "
            f"of it, or give it more shards. {_SAFE}"
        )
    if code == "ValidationException" and operation == "PutRecords":
        return (
            f"Kinesis at {where} does not take a record for {stream}: make it smaller. A record may have 1 MiB, and "
            "the platform reads up to 256 KiB."
        )
    if code.startswith("KMS"):
        return (
            f"Kinesis at {where} may not use the key that encrypts {stream} ({code}): let this role kms:Decrypt and "
            f"kms:GenerateDataKey with it. {_SAFE}"
        )
    return f"Kinesis at {where} refused {operation} on {stream} ({code}). {_SAFE} Look at the AWS health dashboard."


def _away(error: Exception, where: str) -> str:
    kind = type(error).__name__
    if kind in {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"}:
        return (
            f"There are no AWS credentials for Kinesis at {where} ({kind}). Give this machine a role, or set "
            f"AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. {_SAFE}"
        )
    if kind in {"NoRegionError", "InvalidRegionError"}:
        return f"No AWS region is set ({kind}): set CRP_KINESIS_REGION, for example eu-central-1."
    return (
        f"Kinesis at {where} does not answer ({kind}). {_SAFE} Look at the network, CRP_KINESIS_REGION and "
        "CRP_KINESIS_ENDPOINT_URL."
    )
