"""Why a row was not passed on. Every such row carries exactly one reason, and funnels close over them."""

from enum import StrEnum


class Reason(StrEnum):
    """One word for each way out of the pipeline, grouped by the stage that gives it."""

    # collect: the row itself
    EMPTY_URL = "empty_url"
    BAD_URL = "bad_url"
    DUPLICATE_URL = "duplicate_url"
    MISSING_FILE = "missing_file"
    FORBIDDEN_PATH = "forbidden_path"
    # collect: the answer
    HTTP_CLIENT_ERROR = "http_client_error"
    HTTP_SERVER_ERROR = "http_server_error"
    HTTP_TOO_MANY_REQUESTS = "http_too_many_requests"
    TIMEOUT = "timeout"
    CONNECTION_FAILED = "connection_failed"
    NAME_NOT_RESOLVED = "name_not_resolved"
    FORBIDDEN_ADDRESS = "forbidden_address"
    TOO_MANY_BYTES = "too_many_bytes"
    # collect: the bytes
    NOT_AN_IMAGE = "not_an_image"
    UNDECODABLE = "undecodable"
    TRUNCATED = "truncated"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"
    # filter
    NO_CAPTION = "no_caption"
    CAPTION_TOO_SHORT = "caption_too_short"
    CAPTION_TOO_LONG = "caption_too_long"
    IMAGE_TOO_SMALL = "image_too_small"
    ASPECT_TOO_WIDE = "aspect_too_wide"
    LOW_SIMILARITY = "low_similarity"
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"


RETRYABLE = frozenset(
    {
        Reason.HTTP_SERVER_ERROR,
        Reason.HTTP_TOO_MANY_REQUESTS,
        Reason.TIMEOUT,
        Reason.CONNECTION_FAILED,
        Reason.NAME_NOT_RESOLVED,
    }
)
"""Reasons that a later edition tries again; all others stand until the row or its config changes."""
