"""What a channel is, and how it says that it could not send."""

from __future__ import annotations

from typing import Protocol

from credit_risk_platform.domain.alerts import Message, Severity


class ChannelError(Exception):
    """A message that was not taken. The text holds no secret: no address with a token, no key, no password.

    `refused`: the receiver is there and will not have this very message, so the next one may pass; otherwise nothing
    will pass for now. `retry_after`: seconds the receiver asked us to wait.
    """

    def __init__(self, text: str, *, refused: bool = False, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.refused = refused
        self.retry_after = retry_after


class Channel(Protocol):
    """A way to people or tools. `name` stays the same for as long as messages wait for it."""

    @property
    def name(self) -> str: ...

    @property
    def least(self) -> Severity:
        """Messages below this severity are not for it."""
        ...

    def send(self, message: Message) -> None:
        """Send one message; returns once the receiver has taken it. Raises `ChannelError`."""
        ...
