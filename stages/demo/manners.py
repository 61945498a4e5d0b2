"""How the demo's sites behave: hosts, paths under a rule, and the headers that say no.

Only the planted rows' paths lie below a rule, so that a collector that obeys loses nothing else.
"""

import json

HOST = "127.0.0.1"
SECOND_HOST = "127.0.0.2"
"""Another host, for what a host does as a whole."""
ON_SECOND_HOST = frozenset({"too_many", "flapping"})
"""Defects whose rows are there: a host that is set aside must not hold up the others."""

FLAPS = 8
"""Requests to rows of the flapping host that are answered 503 before it is well."""
RETRY_AFTER_SECONDS = 1
DRIP_SECONDS = 0.2
"""Between two bytes of a drip."""
HUGE_BYTES = 300_000_000
PRIVATE_ADDRESS = "10.0.0.1"
"""Where a redirect leads that nobody may follow."""
PLACEHOLDERS = 12
"""Rows of a placeholder in a block, at least: with fewer it would be a copy like others."""

X_ROBOTS_TAGS: tuple[tuple[str, ...], ...] = (
    ("noai",),
    ("noimageai",),
    ("noindex",),
    ("none",),
    ("noml",),
    ("sdflow: noai",),
    ("nofollow, NoAI",),
    ("nofollow", "noimageindex"),
    ("otherbot: nofollow", "sdflow: none"),
    ("unavailable_after: 25 Jun 2100 15:00:00 GMT", "noai, noimageai"),
)
"""Values of the header lines, one form after the other."""

ROBOTS, TDMREP = "/robots.txt", "/.well-known/tdmrep.json"


def host_of(defect: str) -> str:
    """The host on which a row with this defect is served."""
    return SECOND_HOST if defect in ON_SECOND_HOST else HOST


def folder_of(defect: str, row: int) -> str:
    """The folder of a row's path, "" where no rule is about it."""
    if defect == "robots":
        return "private/"
    if defect == "content_usage" and row % 2:
        return "not-for-training/"
    if defect == "tdm" and row % 2:
        return "reserved/"
    return ""


def headers_of(defect: str, row: int) -> list[tuple[str, str]]:
    """What the answer's headers say besides."""
    if defect == "x_robots_tag":
        return [("X-Robots-Tag", value) for value in X_ROBOTS_TAGS[row % len(X_ROBOTS_TAGS)]]
    if folder_of(defect, row):
        return []
    return {"content_usage": [("Content-Usage", "train-ai=n")], "tdm": [("TDM-Reservation", "1")]}.get(
        defect, []
    )


def site_files(seed: int) -> dict[str, tuple[str, bytes]]:
    """Path -> (content type, body) of what every host says of itself."""
    robots = (
        "User-agent: *\n"
        f"Disallow: /{seed}/{folder_of('robots', 1)}\n"
        "Allow: /\n"
        f"Content-Usage: /{seed}/{folder_of('content_usage', 1)} train-ai=n\n"
    )
    reserved = [{"location": f"/{seed}/{folder_of('tdm', 1)}*", "tdm-reservation": 1}]
    return {
        ROBOTS: ("text/plain", robots.encode()),
        TDMREP: ("application/json", json.dumps(reserved).encode()),
    }
