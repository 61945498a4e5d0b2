"""Where tables and tars are read from: folders, buckets and data sets on the hub, never the open web.

Pictures of the web come through a guard that connects to public addresses alone and bounds what comes (see
`stages.collect.web.fetcher`). File systems of fsspec that speak HTTP, FTP and the like have none, so that
whoever writes a table's name could read what answers inside this network.
"""

from stages.redaction import redact

ALLOWED_PROTOCOLS = frozenset(
    {"file", "local", "memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "adl", "hf"}
)
"""Protocols of fsspec; that of a bucket needs its package (s3fs, gcsfs, adlfs), as its own error says."""
WRAPPERS = frozenset({"zip", "tar", "simplecache", "filecache", "blockcache", "cached"})
"""What may stand before a place in a chain: zip://birds.csv::s3://bucket/birds.zip."""


def check_protocol(source: str, pattern: str) -> None:
    """ValueError if a path, fsspec URL or glob has another protocol; names the source and what to do."""
    for link in pattern.split("::"):
        protocol, separator, _ = link.partition("://")
        if not separator or protocol in ALLOWED_PROTOCOLS | WRAPPERS:
            continue
        raise ValueError(
            f"source {source!r}: {redact(pattern)!r} cannot be opened: files lie in folders or on s3://, "
            f"gs://, az:// or hf://, as nothing would guard which address answers to {protocol}://; download "
            "it and name the file"
        )
