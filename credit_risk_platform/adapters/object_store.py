"""Which object store holds the lake and how to speak to it; no credentials, which boto3 finds where it always does.

Nothing heavy is imported before a file is touched, so processes of a home with a local lake pay nothing for this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from credit_risk_platform.adapters.files import FileStore, LocalFiles

KMS = "aws:kms"
SCHEMES = ("s3", "gs")


class ObjectStoreError(RuntimeError):
    """The store refuses or cannot be reached. Names the object and the next step, and never a credential."""


@dataclass(frozen=True)
class ObjectStore:
    """Bucket and prefix of a lake, as `s3://bucket/prefix` or `gs://bucket/prefix`.

    Raises `ObjectStoreError` for an address that is none, or an encryption that not every writer could apply.
    """

    url: str
    endpoint_url: str | None = None
    """Of an S3-compatible store; AWS itself when `None`."""
    region: str | None = None
    encryption: str | None = None
    """`AES256` or `aws:kms`, asked for with every upload; the bucket's own default when `None`."""
    kms_key_id: str | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in SCHEMES or not parts.netloc or parts.query or parts.fragment or "@" in parts.netloc:
            shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
            raise ObjectStoreError(f"{shown} is no address of a lake: set CRP_LAKE_URL=s3://bucket/prefix (or gs://)")
        if self.encryption == KMS and not self.kms_key_id:
            raise ObjectStoreError("CRP_S3_ENCRYPTION=aws:kms: name the key too, CRP_S3_KMS_KEY_ID=<its ARN>")
        object.__setattr__(self, "url", self.url.rstrip("/"))

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def bucket(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def prefix(self) -> str:
        """Below the bucket, without slashes at its ends; may be empty."""
        return urlsplit(self.url).path.strip("/")

    @property
    def upload_options(self) -> dict[str, str]:
        """What boto3 is told with each upload, so that a bucket that demands encryption lets it pass."""
        if self.scheme != "s3" or self.encryption is None:  # Google encrypts all, by the bucket's key
            return {}
        key = {"SSEKMSKeyId": self.kms_key_id} if self.encryption == KMS and self.kms_key_id else {}
        return {"ServerSideEncryption": self.encryption, **key}

    @property
    def warehouse_data(self) -> str:
        """DuckLake's data path."""
        return f"{self.url}/warehouse/data/"


def open_files(store: ObjectStore | None, folder: Path, area: str) -> FileStore:
    """Files of one area of the lake: below `folder` of this home, or below `<store>/<area>`."""
    if store is None:
        return LocalFiles(folder)
    from credit_risk_platform.adapters.object_files import ObjectFiles

    return ObjectFiles(store, area, folder)


NEXT_STEPS = {
    "NoSuchBucket": "Make the bucket, or mend CRP_LAKE_URL.",
    "SignatureDoesNotMatch": "The secret does not belong to the key: look at AWS_SECRET_ACCESS_KEY or the profile.",
    "InvalidAccessKeyId": "The store does not know this key: look at AWS_ACCESS_KEY_ID, AWS_PROFILE or the role.",
    "ExpiredToken": "The session has ended: sign in again, or give the process a role that renews itself.",
    "AccessDenied": "Give its role what docs/object-stores.md lists, on the bucket, the prefix and the key of KMS.",
    "NoCredentials": "Give the process credentials: a role, AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret.",
    "Unreachable": "Look at CRP_S3_ENDPOINT_URL, CRP_S3_REGION and the network between.",
    "Refused": "Its credentials are wrong, or its role may not do this: docs/object-stores.md lists what it needs.",
    "Busy": "It was tried again several times: try later, or spread the load.",
}
_STATUS = {
    "401": "Refused", "403": "Refused", "SlowDown": "Busy", "TooManyRequests": "Busy",
    "InternalError": "Busy", "ServiceUnavailable": "Busy", "429": "Busy", "500": "Busy", "503": "Busy",
}  # fmt: skip
_LIBRARY = {
    "NoCredentialsError": "NoCredentials", "PartialCredentialsError": "NoCredentials",
    "CredentialRetrievalError": "NoCredentials", "DefaultCredentialsError": "NoCredentials",
    "TokenRetrievalError": "ExpiredToken", "UnauthorizedSSOTokenError": "ExpiredToken",
    "ProfileNotFound": "NoCredentials", "EndpointConnectionError": "Unreachable",
    "ConnectTimeoutError": "Unreachable", "ReadTimeoutError": "Unreachable", "ConnectionClosedError": "Unreachable",
    "ClientConnectorError": "Unreachable", "SSLError": "Unreachable", "PermissionError": "AccessDenied",
}  # fmt: skip


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turns what the libraries raise of a store into an `ObjectStoreError` that says what to do.

    `FileNotFoundError` of an object passes; of a bucket it does not. `doing` is a sentence's start with the address.
    """
    try:
        yield
    except (ObjectStoreError, FileExistsError):
        raise
    except Exception as error:
        code = _code(error)
        if isinstance(error, FileNotFoundError) and code != "NoSuchBucket":
            raise
        if code is None and not isinstance(error, OSError):
            raise
        known = _STATUS.get(code or "", code or type(error).__name__)
        step = NEXT_STEPS.get(known, "Look the code up in the documentation of the store.")
        # The library's own words are left out: some stores quote the request, signature and all.
        raise ObjectStoreError(f"{doing}: the store says {code or type(error).__name__}. {step}") from None


def _code(error: BaseException) -> str | None:
    """What the store, or the library that did not get that far, calls the trouble."""
    seen: BaseException | None = error
    while seen is not None:
        response = getattr(seen, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code") or response["ResponseMetadata"]["HTTPStatusCode"])
        if type(seen).__name__ in _LIBRARY:
            named = _LIBRARY[type(seen).__name__]
            if named != "AccessDenied" or seen.__cause__ is None:
                return named
        seen = seen.__cause__
    code = getattr(error, "code", None)  # of gcsfs
    return str(code) if code else None
