"""Why a fetch brought no picture, and whether a retry can help.

FetchError
├── TransientError   (a RetryableError) another try may succeed: `RETRYABLE` reasons
└── PermanentError   (a FinalError) another try will fail alike
"""

from stages.errors import FinalError, RetryableError
from stages.reasons import RETRYABLE, Reason


class FetchError(Exception):
    """A fetch that brought no picture. `fetch_error` makes the right kind of it."""

    def __init__(self, reason: Reason, detail: str, rule: str = "", retry_at: float | None = None) -> None:
        """An error.

        Args:
            reason: the row's reason.
            detail: what went wrong, alike whenever it goes wrong alike.
            rule: the config that decided, as "obey=robots"; "" where none did.
            retry_at: Unix time, seconds, before which the host does not want another request.
        """
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.rule = rule
        self.retry_at = retry_at


class TransientError(FetchError, RetryableError):
    """A failure that may pass: another try may succeed."""


class PermanentError(FetchError, FinalError):
    """A failure that stays: another try will fail alike."""


def fetch_error(reason: Reason, detail: str, rule: str = "", retry_at: float | None = None) -> FetchError:
    """The error of a reason: whether a retry can help is a type."""
    kind = TransientError if reason in RETRYABLE else PermanentError
    return kind(reason, detail, rule, retry_at)
