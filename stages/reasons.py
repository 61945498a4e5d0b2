"""Why a row was not passed on. Every such row carries exactly one reason, and funnels close over them."""

from enum import StrEnum


class Reason(StrEnum):
    """One word for each way out of the pipeline, grouped by the stage that gives it."""

    # collect: the row itself
    EMPTY_URL = "empty_url"
    BAD_URL = "bad_url"
    URL_SCHEME = "url_scheme"
    URL_CREDENTIALS = "url_credentials"
    URL_TOO_LONG = "url_too_long"
    DUPLICATE_URL = "duplicate_url"
    MISSING_FILE = "missing_file"
    FORBIDDEN_PATH = "forbidden_path"
    CONFLICTING_FILES = "conflicting_files"
    BAD_SIDECAR = "bad_sidecar"
    CELL_TOO_LONG = "cell_too_long"
    ROW_TOO_LONG = "row_too_long"
    TAKEN_DOWN = "taken_down"
    # collect: the site says no, or not now
    OPTED_OUT = "opted_out"
    ROBOTS_UNREACHABLE = "robots_unreachable"
    HOST_SET_ASIDE = "host_set_aside"
    # collect: the answer
    HTTP_NOT_FOUND = "http_not_found"
    HTTP_CLIENT_ERROR = "http_client_error"
    HTTP_SERVER_ERROR = "http_server_error"
    HTTP_TOO_MANY_REQUESTS = "http_too_many_requests"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    TIMEOUT = "timeout"
    CONNECTION_FAILED = "connection_failed"
    TLS_FAILED = "tls_failed"
    NAME_NOT_RESOLVED = "name_not_resolved"
    NO_SUCH_NAME = "no_such_name"
    FORBIDDEN_ADDRESS = "forbidden_address"
    BAD_ANSWER = "bad_answer"
    TOO_MANY_BYTES = "too_many_bytes"
    # collect: the bytes
    NOT_AN_IMAGE = "not_an_image"
    UNSUPPORTED_FORMAT = "unsupported_format"
    UNDECODABLE = "undecodable"
    DECODER_FAILED = "decoder_failed"
    TRUNCATED = "truncated"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"
    TOO_ELONGATED = "too_elongated"
    BLANK = "blank"
    PLACEHOLDER = "placeholder"
    # filter
    NO_CAPTION = "no_caption"
    CAPTION_TOO_SHORT = "caption_too_short"
    CAPTION_TOO_LONG = "caption_too_long"
    IMAGE_TOO_SMALL = "image_too_small"
    ASPECT_TOO_WIDE = "aspect_too_wide"
    LOW_SIMILARITY = "low_similarity"
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    # shard
    BLANK_ON_BACKGROUND = "blank_on_background"


RETRYABLE = frozenset(
    {
        Reason.HTTP_SERVER_ERROR,
        Reason.HTTP_TOO_MANY_REQUESTS,
        Reason.TIMEOUT,
        Reason.CONNECTION_FAILED,
        Reason.TLS_FAILED,
        Reason.NAME_NOT_RESOLVED,
        Reason.HOST_SET_ASIDE,
        Reason.ROBOTS_UNREACHABLE,
    }
)
"""Reasons that may pass: asked again in later rounds and later editions. All others stand until the row or
its config changes."""
