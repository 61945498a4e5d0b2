"""What can be chosen of a collection: its sources, each with its policy, and what is taken for an image."""

import codecs
from dataclasses import dataclass, field
from typing import Any, Literal

FORM: Any = {"use_attribute_docstrings": True, "extra": "forbid", "coerce_numbers_to_str": True}
NEUTRAL = {"neutral": True}

OptOut = Literal["robots", "x-robots-tag", "aipref", "tdmrep"]
OPT_OUTS: tuple[OptOut, ...] = ("robots", "x-robots-tag", "aipref", "tdmrep")
"""Every kind of signal by which a site can say no; docs/collection.md tells each."""


MOST_ROW_BYTES = 100_000_000
"""What `max_row_bytes` may be: a row is held in memory, some of them as Python's objects."""


@dataclass(frozen=True, kw_only=True)
class UrlSource:
    """Tables of image URLs with captions."""

    __pydantic_config__ = FORM
    name: str
    """Names the source in every row; part of the rows' uids."""
    tables: tuple[str, ...]
    """Parquet, CSV, TSV or JSONL files, or .txt with a URL a line (texts also as .gz or .zst), by path or
    as s3://, gs://, az:// or hf://, whose fsspec package must be installed; globs are expanded and sorted.
    Not http://: download those first."""
    url_column: str = "url"
    """Column that holds the URL; of a table without a header its position: 1, 2, ..."""
    caption_columns: tuple[str, ...] = ("caption",)
    """Columns that hold captions, each a text or a list of texts."""
    licence_column: str = ""
    """Column that holds the licence of each picture; empty: `licence` holds for all."""
    licence: str = ""
    """Licence of all pictures of this source, where no column says it."""
    columns: tuple[str, ...] = ()
    """Columns passed through to the images table. Those called width, height, original_width,
    original_height, sha256 or format are compared with the file, and what disagrees is kept as evidence."""
    header: bool = True
    """The first line of CSV and TSV names the columns. Where it doesn't (false) or holds a URL, which names
    nothing, columns are called by position: 1, 2, ..."""
    delimiter: str = ""
    """What parts the cells of CSV and TSV, one character, as ";"; empty: a comma in .csv, a tab in .tsv."""
    quotes: bool = True
    """Quote marks enclose cells of CSV and TSV; false where they are letters like others, as in CC12M."""
    encoding: str = "utf-8"
    """Of texts (CSV, TSV, .txt), by Python's name for it, as latin-1 or utf-16. JSONL is always UTF-8."""
    obey: tuple[OptOut, ...] = OPT_OUTS
    """Which opt-out signals bind: robots (robots.txt), x-robots-tag, aipref (Content-Usage) and tdmrep. All
    by default; for mirrors of your own, none need."""
    allow_networks: tuple[str, ...] = ()
    """Networks that may be connected to although they are not public, as 10.1.0.0/16. For mirrors of your
    own."""
    revalidate_days: float | None = None
    """Ask again for pictures that were last seen longer ago than this; unchanged ones cost no body. None:
    never."""

    def __post_init__(self) -> None:
        """ValueError: a table cannot be laid out like that."""
        if len(self.delimiter) > 1 or self.delimiter in ('"', "\n", "\r", "\0"):
            raise ValueError(
                f"source {self.name!r}: delimiter={self.delimiter!r} must be one character, no quote "
                "mark and no line end; leave it out for a comma in .csv and a tab in .tsv"
            )
        try:
            codec = codecs.lookup(self.encoding)
            is_text = codec._is_text_encoding  # what open() asks too; others turn bytes into bytes
        except (LookupError, ValueError):
            is_text = False
        if not is_text:
            raise ValueError(
                f"source {self.name!r}: encoding={self.encoding!r} is none that Python knows; name one, "
                "as utf-8, latin-1 or cp1252"
            )


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """A folder of images: captions from metadata.csv, .jsonl or .parquet (as HF datasets has them), else
    from .txt, .caption and .json files beside the pictures, else from class folders' names."""

    __pydantic_config__ = FORM
    name: str
    """Names the source in every row; part of the rows' uids."""
    folder: str
    """Path of the folder."""
    caption_column: str = "text"
    """Column of the metadata file that holds the caption."""
    file_column: str = "file_name"
    """Column of the metadata file that holds the picture's path below the metadata file's folder."""
    metadata: tuple[str, ...] = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
    """Names of the metadata files, which may lie in any folder below; none: captions come from elsewhere."""
    caption_keys: tuple[str, ...] = ("caption",)
    """Keys of a .json beside a picture that hold captions, a text or a list of texts, as text or prompt."""
    exclude: tuple[str, ...] = ()
    """Files that are left out, by globs of their paths or names, as "*_mask.png" or "previews/*"."""
    repeats: bool = False
    """Where a class folder is called "10_rex dog", pass 10 on as a column `repeats` (1 where there is no
    number), which becomes the dataset's `sampling_weight`; train.data.weight: sampling_weight trains by it.
    The number is no part of the caption either way."""
    licence: str = ""
    """Licence of all pictures of this source, where no .json beside them says it."""

    def __post_init__(self) -> None:
        """ValueError: a metadata file's name is none, or a list of names holds an empty one."""
        for name in self.metadata:
            if "/" in name or "." not in name or name.startswith("."):
                raise ValueError(
                    f"source {self.name!r}: metadata={list(self.metadata)}: {name!r} must be a file's name, "
                    "without folders, as captions.csv"
                )
        _check_names(self.name, caption_keys=self.caption_keys, exclude=self.exclude)


@dataclass(frozen=True, kw_only=True)
class TarSource:
    """WebDataset tars: image members with .txt, .caption, .json or .cls beside them."""

    __pydantic_config__ = FORM
    name: str
    """Names the source in every row; part of the rows' uids."""
    tars: tuple[str, ...]
    """Tar files, by path; globs are expanded and sorted."""
    caption_keys: tuple[str, ...] = ("caption",)
    """Keys of a .json that hold captions, each a text or a list of texts, as text or prompt."""
    exclude: tuple[str, ...] = ()
    """Members that are left out, by globs of their names, as "*.seg.png"."""
    licence: str = ""
    """Licence of all pictures of this source, where no .json beside them says it."""

    def __post_init__(self) -> None:
        """ValueError: a list of names holds an empty one."""
        _check_names(self.name, caption_keys=self.caption_keys, exclude=self.exclude)


@dataclass(frozen=True, kw_only=True)
class ParquetSource:
    """Parquet files that hold the pictures themselves, as HF datasets writes them."""

    __pydantic_config__ = FORM
    name: str
    """Names the source in every row; part of the rows' uids."""
    tables: tuple[str, ...]
    """Parquet files on this machine, by path; globs are expanded and sorted."""
    image_column: str = "image"
    """Column that holds a struct of `bytes` and `path`, or the bytes alone."""
    caption_columns: tuple[str, ...] = ("caption",)
    """Columns that hold captions, each a text or a list of texts."""
    licence_column: str = ""
    """Column that holds the licence of each picture; empty: `licence` holds for all."""
    licence: str = ""
    """Licence of all pictures of this source, where no column says it."""
    columns: tuple[str, ...] = ()
    """Columns passed through to the images table."""


@dataclass(frozen=True, kw_only=True)
class HostLimit:
    """What a host is spared."""

    __pydantic_config__ = FORM
    host: str
    """Name of the host; its subdomains are hosts of their own, "*.example.org" means them all."""
    connections: int | None = None
    """Requests at once; None: as for every host."""
    per_second: float | None = None
    """Requests a second; None: as for every host."""


@dataclass(frozen=True, kw_only=True)
class CollectConfig:
    """Where the images come from, and what bytes are taken for an image."""

    __pydantic_config__ = FORM
    urls: tuple[UrlSource, ...] = ()
    """Tables of URLs."""
    folders: tuple[FolderSource, ...] = ()
    """Folders of images."""
    tars: tuple[TarSource, ...] = ()
    """WebDataset tars."""
    parquets: tuple[ParquetSource, ...] = ()
    """Parquet files with the pictures in them."""
    edition: str = "1"
    """Names the collection in time; a scheduled refresh passes its expected start time."""
    limit: int | None = None
    """Take a sample of this many rows of each source, spread by hash, for a first try. None takes all."""
    agent: str = "sdflow"
    """Name of the crawler, by which robots.txt and X-Robots-Tag can address it: letters, "-" and "_"."""
    contact: str = field(default="", metadata=NEUTRAL)
    """Web page or mail address in the User-Agent, by which a site's owner can reach you. Give one."""
    min_side: int = 16
    """Shortest side in pixels below which an image is too small."""
    max_pixels: int = 50_000_000
    """Width times height above which an image is too large."""
    max_aspect: float = 50.0
    """Longer side over shorter side above which an image is no picture."""
    max_bytes: int = 20_000_000
    """Bytes after which a download is given up."""
    max_cell_bytes: int = 1_000_000
    """Bytes of one cell of a table, or of a text beside a picture, above which the row is refused; at least
    1,000."""
    max_row_bytes: int = 4_000_000
    """Bytes of one row of a table (one line of JSONL, a record of CSV) above which it is refused; at least
    `max_cell_bytes`, at most 100,000,000."""
    max_caption_chars: int = 10_000
    """Characters of one caption above which its row is refused; at least 1."""
    drop_blank: bool = True
    """Leave out pictures of a single colour."""
    placeholder_urls: int = 10
    """The same bytes under this many URLs of one host are a placeholder ("image not available"), and left
    out."""
    deadline: float = 30.0
    """Seconds after which a download is given up, whatever it has brought."""
    retries: int = 2
    """Further rounds over rows whose failure may pass (time-outs, resets, 408, 425, 429, 5xx)."""
    patience: float = 600.0
    """Seconds that all rounds together wait for hosts that ask for time; what is not due by then is left to
    the next edition."""
    part_rows: int = 1000
    """Rows to a part: what a crash can lose."""
    connections: int = field(default=4, metadata=NEUTRAL)
    """Requests at once to one host; 0 sets no limit."""
    per_second: float = field(default=20.0, metadata=NEUTRAL)
    """Requests a second to one host; 0 sets no limit. A robots.txt's Crawl-delay holds where it is longer."""
    hosts: tuple[HostLimit, ...] = field(default=(), metadata=NEUTRAL)
    """Limits of hosts of which you know more."""
    threads: int = field(default=96, metadata=NEUTRAL)
    """Downloads at once, all hosts together."""
    workers: int = field(default=0, metadata=NEUTRAL)
    """Processes that decode, to judge what came; 0 takes one for each core."""

    def __post_init__(self) -> None:
        """ValueError: a limit is out of range; names them all."""
        least = {"max_cell_bytes": 1_000, "max_row_bytes": self.max_cell_bytes, "max_caption_chars": 1}
        wrong = [
            f"{name}={getattr(self, name)} must be at least {number}"
            for name, number in least.items()
            if getattr(self, name) < number
        ]
        if self.max_row_bytes > MOST_ROW_BYTES:
            wrong.append(f"max_row_bytes={self.max_row_bytes} must be at most {MOST_ROW_BYTES}")
        if wrong:
            raise ValueError(f"collect: {'; '.join(wrong)}")


def _check_names(source: str, **names: tuple[str, ...]) -> None:
    for key, listed in names.items():
        if not all(listed):
            raise ValueError(f"source {source!r}: {key}={list(listed)} holds an empty text; leave it out")
