"""Why a row was not passed on. Every such row carries exactly one reason, and funnels close over them."""

from collections.abc import Mapping
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

EXPLANATIONS: Mapping[Reason, str] = {
    Reason.EMPTY_URL: "the row of the source has no address",
    Reason.BAD_URL: "the address is none that can be asked for",
    Reason.URL_SCHEME: "the address is neither http nor https",
    Reason.URL_CREDENTIALS: "the address has a user's name or password in it",
    Reason.URL_TOO_LONG: "the address is longer than is asked for",
    Reason.DUPLICATE_URL: "another row has the same address, and stands for this one too",
    Reason.MISSING_FILE: "there is no such file, or it is no ordinary one",
    Reason.FORBIDDEN_PATH: "the path leads out of the source's folder",
    Reason.CONFLICTING_FILES: "two files beside the picture claim the same place",
    Reason.BAD_SIDECAR: "the JSON file beside the picture cannot be read",
    Reason.CELL_TOO_LONG: "a cell of the row is longer than the limit",
    Reason.ROW_TOO_LONG: "the row is longer than the limit",
    Reason.TAKEN_DOWN: "somebody asked that it be used no more",
    Reason.OPTED_OUT: "its owner says, by robots.txt, a header or a file, that it is not to be learned from",
    Reason.ROBOTS_UNREACHABLE: "the site's robots.txt could not be read, so all is forbidden; tried again",
    Reason.HOST_SET_ASIDE: "the host was failing or asked for time, so it was left alone; tried again",
    Reason.HTTP_NOT_FOUND: "the host says that there is nothing at this address (404 or 410)",
    Reason.HTTP_CLIENT_ERROR: "the host refused the request (another status of 400 to 499)",
    Reason.HTTP_SERVER_ERROR: "the host failed (a status of 500 to 599); tried again",
    Reason.HTTP_TOO_MANY_REQUESTS: "the host asked for fewer requests (429); tried again",
    Reason.TOO_MANY_REDIRECTS: "the address led to another, and that to another, too many times",
    Reason.TIMEOUT: "the host did not answer in time; tried again",
    Reason.CONNECTION_FAILED: "no connection to the host came about, or it broke; tried again",
    Reason.TLS_FAILED: "the host's certificate or encryption did not work; tried again",
    Reason.NAME_NOT_RESOLVED: "the host's name could not be looked up this time; tried again",
    Reason.NO_SUCH_NAME: "no host has this name",
    Reason.FORBIDDEN_ADDRESS: "the host's name leads into a private network, which is never asked",
    Reason.BAD_ANSWER: "the host's answer was no proper HTTP",
    Reason.TOO_MANY_BYTES: "the answer was larger than the limit",
    Reason.NOT_AN_IMAGE: "what came is no picture, as a web page in its place",
    Reason.UNSUPPORTED_FORMAT: "a picture of a format that is not read",
    Reason.UNDECODABLE: "a picture whose bytes are damaged",
    Reason.DECODER_FAILED: "the decoder crashed on it, or took more time or memory than it may",
    Reason.TRUNCATED: "the picture's bytes end too early",
    Reason.TOO_SMALL: "fewer pixels than collect.min_side to a side",
    Reason.TOO_LARGE: "more pixels than the limit",
    Reason.TOO_ELONGATED: "one side is more than collect.max_aspect times the other",
    Reason.BLANK: "a single colour and nothing else",
    Reason.PLACEHOLDER: "the same bytes came for many addresses: what a site shows in place of what is gone",
    Reason.NO_CAPTION: "no caption is left that could be learned",
    Reason.CAPTION_TOO_SHORT: "every caption has fewer words than filter.min_words",
    Reason.CAPTION_TOO_LONG: "every caption has more words than filter.max_words",
    Reason.IMAGE_TOO_SMALL: "fewer pixels to a side than filter.min_side",
    Reason.ASPECT_TOO_WIDE: "one side is more than filter.max_aspect times the other",
    Reason.LOW_SIMILARITY: "picture and caption fit each other less than filter.min_similarity",
    Reason.EXACT_DUPLICATE: "the same picture as another, to the byte or the pixel, which is kept instead",
    Reason.NEAR_DUPLICATE: "nearly the same picture as another, which is kept instead",
    Reason.BLANK_ON_BACKGROUND: "nothing is to be seen of it once its transparent parts are filled",
}
"""What each reason means, in words that go on from its name; of every reason there is one."""
