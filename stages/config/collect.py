"""What can be chosen of a collection: its sources, each with its policy, and what is taken for an image."""

import codecs
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Annotated, Literal

from annotated_types import Interval, MaxLen, MinLen

from sdmodel.config.limits import (
    NEUTRAL,
    Amount,
    Config,
    Count,
    Mistake,
    Pattern,
    Seconds,
    Side,
    Weight,
    Word,
    Workers,
)

OptOut = Literal["robots", "x-robots-tag", "aipref", "tdmrep"]
OPT_OUTS: tuple[OptOut, ...] = ("robots", "x-robots-tag", "aipref", "tdmrep")
"""Every kind of signal by which a site can say no; docs/collection.md tells each."""


MOST_ROW_BYTES = 100_000_000
"""What `max_row_bytes` may be: a row is held in memory, some of them as Python's objects."""
MAX_PIXELS = 178_956_970
"""Width times height above which nothing is decoded, whatever a config says: Pillow's own limit."""


@dataclass(frozen=True, kw_only=True)
class UrlSource(Config):
    """Tables of image URLs with captions."""

    name: Word
    """Names the source in every row; part of the rows' uids."""
    tables: Annotated[tuple[Word, ...], MinLen(1)]
    """Parquet, CSV, TSV or JSONL files, or .txt with a URL a line (texts also as .gz or .zst), by path or
    as s3://, gs://, az:// or hf://, whose fsspec package must be installed; globs are expanded and sorted.
    Not http://: download those first."""
    url_column: Word = "url"
    """Column that holds the URL; of a table without a header its position: 1, 2, ..."""
    caption_columns: tuple[Word, ...] = ("caption",)
    """Columns that hold captions, each a text or a list of texts."""
    licence_column: str = ""
    """Column that holds the licence of each picture; empty: `licence` holds for all."""
    licence: str = ""
    """Licence of all pictures of this source, where no column says it."""
    columns: tuple[Word, ...] = ()
    """Columns passed through to the images table. Those called width, height, original_width,
    original_height, sha256 or format are compared with the file, and what disagrees is kept as evidence."""
    header: bool = True
    """The first line of CSV and TSV names the columns. Where it doesn't (false) or holds a URL, which names
    nothing, columns are called by position: 1, 2, ..."""
    delimiter: Annotated[str, MaxLen(1)] = ""
    """What parts the cells of CSV and TSV, one character, as ";"; empty: a comma in .csv, a tab in .tsv."""
    quotes: bool = True
    """Quote marks enclose cells of CSV and TSV; false where they are letters like others, as in CC12M."""
    encoding: Word = "utf-8"
    """Of texts (CSV, TSV, .txt), by Python's name for it, as latin-1 or utf-16. JSONL is always UTF-8."""
    obey: tuple[OptOut, ...] = OPT_OUTS
    """Which opt-out signals bind: robots (robots.txt), x-robots-tag, aipref (Content-Usage) and tdmrep. All
    by default; for mirrors of your own, none need."""
    allow_networks: tuple[Word, ...] = ()
    """Networks that may be connected to although they are not public, as 10.1.0.0/16. For mirrors of your
    own."""
    revalidate_days: Annotated[float, Interval(ge=0, le=36_500)] | None = None
    """Ask again for pictures that were last seen longer ago than this; unchanged ones cost no body. None:
    never."""

    def conflicts(self) -> Iterator[Mistake]:
        """Tables that cannot be laid out like that, and networks that are none."""
        if self.delimiter and self.delimiter in '"\n\r\0':
            yield self.mistake(
                "must be one character, no quote mark and no line end; leave it out for a comma in .csv and "
                "a tab in .tsv",
                "delimiter",
            )
        if not _is_text_encoding(self.encoding):
            yield self.mistake("is none that Python knows; name one, as utf-8, latin-1 or cp1252", "encoding")
        for network in self.allow_networks:
            try:
                ip_network(network)
            except ValueError as error:
                yield self.mistake(
                    f"must be networks like 10.1.0.0/16 or fd00::/8: {error}", "allow_networks"
                )


@dataclass(frozen=True, kw_only=True)
class FolderSource(Config):
    """A folder of images: captions from metadata.csv, .jsonl or .parquet (as HF datasets has them), else
    from .txt, .caption and .json files beside the pictures, else from class folders' names."""

    name: Word
    """Names the source in every row; part of the rows' uids."""
    folder: Word
    """Path of the folder."""
    caption_column: Word = "text"
    """Column of the metadata file that holds the caption."""
    file_column: Word = "file_name"
    """Column of the metadata file that holds the picture's path below the metadata file's folder."""
    metadata: tuple[Word, ...] = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
    """Names of the metadata files, which may lie in any folder below; none: captions come from elsewhere."""
    caption_keys: tuple[Word, ...] = ("caption",)
    """Keys of a .json beside a picture that hold captions, a text or a list of texts, as text or prompt."""
    exclude: tuple[Word, ...] = ()
    """Files that are left out, by globs of their paths or names, as "*_mask.png" or "previews/*"."""
    repeats: bool = False
    """Where a class folder is called "10_rex dog", pass 10 on as a column `repeats` (1 where there is no
    number), which becomes the dataset's `sampling_weight`; train.data.weight: sampling_weight trains by it.
    The number is no part of the caption either way."""
    licence: str = ""
    """Licence of all pictures of this source, where no .json beside them says it."""

    def conflicts(self) -> Iterator[Mistake]:
        """Metadata files whose names are none."""
        if wrong := [
            name for name in self.metadata if "/" in name or "." not in name or name.startswith(".")
        ]:
            yield self.mistake(
                f"must be names of files, without folders, as captions.csv, not {wrong}", "metadata"
            )


@dataclass(frozen=True, kw_only=True)
class TarSource(Config):
    """WebDataset tars: image members with .txt, .caption, .json or .cls beside them."""

    name: Word
    """Names the source in every row; part of the rows' uids."""
    tars: Annotated[tuple[Word, ...], MinLen(1)]
    """Tar files, by path; globs are expanded and sorted."""
    caption_keys: tuple[Word, ...] = ("caption",)
    """Keys of a .json that hold captions, each a text or a list of texts, as text or prompt."""
    exclude: tuple[Word, ...] = ()
    """Members that are left out, by globs of their names, as "*.seg.png"."""
    licence: str = ""
    """Licence of all pictures of this source, where no .json beside them says it."""


@dataclass(frozen=True, kw_only=True)
class ParquetSource(Config):
    """Parquet files that hold the pictures themselves, as HF datasets writes them."""

    name: Word
    """Names the source in every row; part of the rows' uids."""
    tables: Annotated[tuple[Word, ...], MinLen(1)]
    """Parquet files on this machine, by path; globs are expanded and sorted."""
    image_column: Word = "image"
    """Column that holds a struct of `bytes` and `path`, or the bytes alone."""
    caption_columns: tuple[Word, ...] = ("caption",)
    """Columns that hold captions, each a text or a list of texts."""
    licence_column: str = ""
    """Column that holds the licence of each picture; empty: `licence` holds for all."""
    licence: str = ""
    """Licence of all pictures of this source, where no column says it."""
    columns: tuple[Word, ...] = ()
    """Columns passed through to the images table."""


@dataclass(frozen=True, kw_only=True)
class HostLimit(Config):
    """What a host is spared."""

    host: Annotated[
        str,
        MaxLen(4096),
        Pattern(
            r"(\*\.)?[^\s/:@*]+|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*",
            "a host's name, without scheme, port and path",
        ),
    ]
    """Name of the host; its subdomains are hosts of their own, "*.example.org" means them all."""
    connections: Amount | None = None
    """Requests at once; None: as for every host."""
    per_second: Weight | None = None
    """Requests a second; None: as for every host."""


@dataclass(frozen=True, kw_only=True)
class CollectConfig(Config):
    """Where the images come from, and what bytes are taken for an image."""

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
    limit: Count | None = None
    """Take a sample of this many rows of each source, spread by hash, for a first try. None takes all."""
    agent: Annotated[
        str, Pattern("[A-Za-z_-]+", 'letters, "-" and "_" alone, by which robots.txt can name it')
    ] = "sdflow"
    """Name of the crawler, by which robots.txt and X-Robots-Tag can address it: letters, "-" and "_"."""
    contact: str = field(default="", metadata=NEUTRAL)
    """Web page or mail address in the User-Agent, by which a site's owner can reach you. Give one."""
    min_side: Side = 16
    """Shortest side in pixels below which an image is too small."""
    max_pixels: Annotated[int, Interval(ge=1, le=MAX_PIXELS)] = 50_000_000
    """Width times height above which an image is too large."""
    max_aspect: Annotated[float, Interval(ge=1, le=65536)] = 50.0
    """Longer side over shorter side above which an image is no picture."""
    max_bytes: Count = 20_000_000
    """Bytes after which a download is given up."""
    max_cell_bytes: Annotated[int, Interval(ge=1_000, le=MOST_ROW_BYTES)] = 1_000_000
    """Bytes of one cell of a table, or of a text beside a picture, above which the row is refused; at least
    1,000."""
    max_row_bytes: Annotated[int, Interval(ge=1_000, le=MOST_ROW_BYTES)] = 4_000_000
    """Bytes of one row of a table (one line of JSONL, a record of CSV) above which it is refused; at least
    `max_cell_bytes`, at most 100,000,000."""
    max_caption_chars: Annotated[int, Interval(ge=1, le=MOST_ROW_BYTES)] = 10_000
    """Characters of one caption above which its row is refused; at least 1."""
    drop_blank: bool = True
    """Leave out pictures of a single colour."""
    placeholder_urls: Annotated[int, Interval(ge=2, le=10**12)] = 10
    """The same bytes under this many URLs of one host are a placeholder ("image not available"), and left
    out."""
    deadline: Annotated[float, Interval(gt=0, le=10**9)] = 30.0
    """Seconds after which a download is given up, whatever it has brought."""
    retries: Annotated[int, Interval(ge=0, le=1000)] = 2
    """Further rounds over rows whose failure may pass (time-outs, resets, 408, 425, 429, 5xx)."""
    patience: Seconds = 600.0
    """Seconds that all rounds together wait for hosts that ask for time; what is not due by then is left to
    the next edition."""
    part_rows: Count = 1000
    """Rows to a part: what a crash can lose."""
    connections: Amount = field(default=4, metadata=NEUTRAL)
    """Requests at once to one host; 0 sets no limit."""
    per_second: Weight = field(default=20.0, metadata=NEUTRAL)
    """Requests a second to one host; 0 sets no limit. A robots.txt's Crawl-delay holds where it is longer."""
    hosts: tuple[HostLimit, ...] = field(default=(), metadata=NEUTRAL)
    """Limits of hosts of which you know more."""
    threads: Annotated[int, Interval(ge=1, le=65_536)] = field(default=96, metadata=NEUTRAL)
    """Downloads at once, all hosts together."""
    workers: Workers = field(default=0, metadata=NEUTRAL)
    """Processes that decode, to judge what came; 0 takes one for each core."""

    def conflicts(self) -> Iterator[Mistake]:
        """Limits that leave nothing, a contact of several lines, and sources that share a name."""
        if self.max_row_bytes < self.max_cell_bytes:
            yield self.mistake(
                "max_row_bytes must be at least max_cell_bytes", "max_row_bytes", "max_cell_bytes"
            )
        if self.min_side**2 > self.max_pixels:
            yield self.mistake("no picture has both; lower min_side", "min_side", "max_pixels")
        if not self.contact.isprintable():
            yield self.mistake("must be one line of printable characters", "contact")
        lists = ("urls", "folders", "tars", "parquets")
        names = Counter(source.name for key in lists for source in getattr(self, key))
        if twice := [name for name, number in names.items() if number > 1]:
            yield Mistake(
                {
                    f"{key}.{n}.name": source.name
                    for key in lists
                    for n, source in enumerate(getattr(self, key))
                    if source.name in twice
                },
                "sources are called the same; each needs a name of its own",
            )


def _is_text_encoding(name: str) -> bool:
    try:
        return codecs.lookup(name)._is_text_encoding  # what open() asks too; others turn bytes into bytes
    except (LookupError, ValueError):
        return False
