"""E-mail over SMTP. TLS is verified; a password never goes over a line in the clear."""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime

from credit_risk_platform.adapters.alerting.channels.base import ChannelError
from credit_risk_platform.adapters.alerting.channels.text import SOURCE, headline, same, shown
from credit_risk_platform.domain.alerts import Message, Severity
from credit_risk_platform.domain.privacy import blurred

_log = logging.getLogger(__name__)
TLS_FROM_THE_START = 465
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class EmailChannel:
    """Plain text to all recipients at once; what clears answers what fired, in the same thread."""

    host: str
    port: int = 587
    starttls: bool = True
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sender: str | None = None
    recipients: tuple[str, ...] = ()
    timeout_seconds: float = TIMEOUT_SECONDS
    name: str = "email"
    least: Severity = Severity.WARNING

    def send(self, message: Message) -> None:
        self._refuse_half_set()
        try:
            with self._session() as session:
                refused = session.send_message(self._letter(message))
        except smtplib.SMTPResponseException as error:
            # A password is refused here too; the server's words do not repeat it, but who knows the server.
            raise ChannelError(
                f"{self.host} answered {error.smtp_code}: {self._clean(error.smtp_error)}",
                refused=isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500,
            ) from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = ", ".join(sorted({str(code) for code, _ in error.recipients.values()}))
            raise ChannelError(f"{self.host} refused every recipient ({codes}): mend CRP_ALERT_EMAIL_TO") from None
        except ssl.SSLCertVerificationError as error:
            raise ChannelError(f"{self.host}: its certificate is not trusted ({error.verify_message})") from None
        except smtplib.SMTPNotSupportedError as error:
            raise ChannelError(f"{self.host}: {error}; see CRP_ALERT_SMTP_STARTTLS and _USERNAME") from None
        except (OSError, smtplib.SMTPException) as error:
            raise ChannelError(f"{self.host}:{self.port} could not be spoken to ({type(error).__name__})") from None
        if refused:
            _log.warning("%s refused %d of %d recipients of an alert", self.host, len(refused), len(self.recipients))

    @contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        context = ssl.create_default_context()
        if self.port == TLS_FROM_THE_START:
            opened: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout_seconds, context=context)
        else:
            opened = smtplib.SMTP(self.host, self.port, timeout=self.timeout_seconds)
        try:
            if self.starttls and self.port != TLS_FROM_THE_START:
                opened.starttls(context=context)
            if self.username:
                opened.login(self.username, self.password or "")
            yield opened
            with suppress(smtplib.SMTPException, OSError):  # the letter is taken, however the farewell goes
                opened.quit()
        finally:
            opened.close()

    def _letter(self, message: Message) -> EmailMessage:
        finding = message.finding
        letter = EmailMessage()
        letter["Subject"] = f"[{SOURCE}] {headline(message)}"
        letter["From"] = self.sender
        letter["To"] = ", ".join(self.recipients)
        letter["Date"] = format_datetime(message.at)
        # The same for a message that is sent again, so that mail programs show it once.
        letter["Message-ID"] = f"<{same(message)}@{SOURCE}>"
        letter["References"] = f"<{message.incident}@{SOURCE}>"
        letter["Auto-Submitted"] = "auto-generated"
        facts = [f"{name}: {shown(value)}" for name, value in finding.facts.items()]
        about = [f"severity: {finding.severity}", f"at: {message.at:%Y-%m-%d %H:%M} UTC", f"about: {finding.key}"]
        link = ["", finding.link] if finding.link else []
        letter.set_content("\n".join([headline(message), "", *facts, *about, *link]) + "\n")
        return letter

    def _refuse_half_set(self) -> None:
        if not self.sender or not self.recipients:
            raise ChannelError("set CRP_ALERT_EMAIL_FROM and CRP_ALERT_EMAIL_TO, or unset CRP_ALERT_SMTP_HOST")
        if self.password and not self.starttls and self.port != TLS_FROM_THE_START:
            raise ChannelError("a password would go out in the clear: set CRP_ALERT_SMTP_STARTTLS, or unset it")

    def _clean(self, said: bytes | str) -> str:
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        for secret in filter(None, (self.password,)):
            text = text.replace(secret, "***")
        return blurred(" ".join(text.split()))[:200]
