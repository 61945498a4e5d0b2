"""The one exception of this package."""

from stages.errors import FinalError
from stages.reasons import Reason


class ImageError(FinalError):
    """Bytes that give no image; the same bytes will fail again.

    `reason` is NOT_AN_IMAGE, UNSUPPORTED_FORMAT, UNDECODABLE, TRUNCATED or TOO_LARGE; `detail` says what is
    wrong.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"
