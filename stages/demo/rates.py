"""What is planted in the demo's table, and how much: faults of a web collection, wishes of its sites, and
pictures of which little is known."""

from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, kw_only=True)
class PictureRates:
    """Share of the rows that bear each defect of pictures, captions and links; a row bears at most one."""

    exact_copy: float = 0.020
    """The bytes of another row's picture under another URL."""
    reencoded_copy: float = 0.020
    """Another row's picture saved again, with loss, at the same size."""
    resized_copy: float = 0.020
    """Another row's picture at another size."""
    duplicate_url: float = 0.010
    """Another row's URL once more."""
    not_found: float = 0.020
    """Answers 404."""
    flaky: float = 0.010
    """Answers 500 the first time it is asked, then the picture: no fault of the picture."""
    truncated: float = 0.010
    """The file ends early."""
    html: float = 0.010
    """A web page under an image's name."""
    tiny: float = 0.006
    """A picture of one pixel, as trackers use."""
    swapped_caption: float = 0.030
    """The caption belongs to another row, whose picture bears this row's."""
    attribute_caption: float = 0.010
    """The caption is wrong in one attribute."""
    short_caption: float = 0.006
    """A caption of one word that says nothing, such as a file's name."""


@dataclass(frozen=True, kw_only=True)
class WebRates(PictureRates):
    """Rates of defects of pictures, and of what servers do: planted in whole rows of a block, so that a short
    table may have none."""

    exif: float = 0.006
    """Stored turned or mirrored, with the EXIF orientation that sets it right: a good picture."""
    deep: float = 0.004
    """A PNG of 16 bits a channel: a good picture."""
    cmyk: float = 0.004
    """A JPEG in CMYK: a good picture."""
    redirect: float = 0.004
    """Answers with a redirect to the picture: good."""
    too_many: float = 0.002
    """On the second host; answers 429 with Retry-After the first time, then the picture: good."""
    flapping: float = 0.006
    """On the second host, where the first requests are answered 503, whatever they ask for: good."""
    drip: float = 0.002
    """Sends its picture a byte at a time, which takes many minutes."""
    huge: float = 0.002
    """Announces 300 MB, and sends them."""
    redirect_loop: float = 0.004
    """Redirects that lead back."""
    redirect_private: float = 0.004
    """A redirect to an address of a private network."""
    robots: float = 0.006
    """Below a path that robots.txt disallows."""
    x_robots_tag: float = 0.006
    """Opted out by X-Robots-Tag, in one of its forms."""
    content_usage: float = 0.004
    """Opted out of training by Content-Usage, in the header or in robots.txt."""
    tdm: float = 0.004
    """Rights reserved by TDMRep, in the header or in tdmrep.json."""
    placeholder: float = 0.024
    """A "not available" picture, the same under many URLs; none is planted where a block would have few."""


@dataclass(frozen=True, kw_only=True)
class Rates(WebRates):
    """Rates of all that is planted: of defects, of what servers do, and of faultless pictures without a
    caption."""

    labels_only: float = 0.060
    """No caption, but labels: good."""
    unlabelled: float = 0.040
    """Neither caption nor labels: good."""

    def __post_init__(self) -> None:
        """Refuses rates that leave too few good rows to copy from."""
        total = sum(asdict(self).values())
        if any(rate < 0 for rate in asdict(self).values()) or total > 0.6:
            raise ValueError(
                f"rates sum to {total:.3f}: each must be at least 0 and all together at most 0.6"
            )


DEFECTS: tuple[str, ...] = tuple(f.name for f in fields(PictureRates))
"""Defects of pictures, captions and links."""
PLANTED: tuple[str, ...] = tuple(f.name for f in fields(Rates))
"""All that is planted, the defects first."""
WEB_DEFECTS: tuple[str, ...] = tuple(f.name for f in fields(WebRates) if f.name not in DEFECTS)
"""What servers do and what sites ask for."""
UNCAPTIONED: tuple[str, ...] = PLANTED[len(DEFECTS) + len(WEB_DEFECTS) :]
"""Faultless pictures without a caption."""
LABELS: tuple[str, ...] = ("shape", "colour")
"""Attributes of which the table has columns, "" where a row has no labels."""
