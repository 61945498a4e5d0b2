"""The tables that stages hand to each other: one schema each, keyed by uid, sorted by uid."""

import hashlib

import pyarrow as pa

CAPTIONS = pa.list_(pa.struct([("text", pa.string()), ("source", pa.string()), ("weight", pa.float32())]))

IMAGES = pa.schema(
    [
        ("uid", pa.string()),  # 32 hex digits: names the picture, see `uid_of`
        ("sha256", pa.string()),  # 64 hex digits: names the bytes
        ("source", pa.string()),  # name of the source in the config
        ("location", pa.string()),  # normalised URL, path below the folder, or "file.tar/member"
        ("captions", CAPTIONS),
        ("licence", pa.string()),  # as the source says it; "" where it says none
        ("columns", pa.string()),  # JSON object: the source's columns passed through, with their values
        ("format", pa.string()),  # "jpeg", "png", "webp", ...: by the bytes, not by the name
        ("width", pa.int32()),  # pixels, as displayed (after EXIF orientation)
        ("height", pa.int32()),
        ("frames", pa.int32()),  # of an animation, of which the first is the picture; else 1
        ("repairs", pa.list_(pa.string())),  # what decoding it has to set right, see `stages.image.REPAIRS`
        ("file", pa.string()),  # artifact path of the tar that holds the bytes
        ("offset", pa.int64()),  # of the member's data in that tar, bytes
        ("length", pa.int64()),
    ]
)
"""`images.parquet` of collect: a row for each picture held."""

REJECTS = pa.schema(
    [
        ("uid", pa.string()),
        ("reason", pa.string()),  # a `Reason`
        ("rule", pa.string()),  # the config that decided, e.g. "min_side=16"; "" where none did
        ("detail", pa.string()),  # the value found, or the error's own words
        ("merged_into", pa.string()),  # uid of the row that stands for this one; "" where there is none
        ("location", pa.string()),
        ("row", pa.string()),  # where the input row stood, "source:table:number"; "" after collect
    ]
)
"""`rejects.parquet` of every stage that drops rows: a row for each input row that was not passed on."""

DUPLICATES = pa.schema(
    [
        ("uid", pa.string()),
        ("phash", pa.uint64()),  # perceptual hash of the decoded pixels
        ("cluster", pa.string()),  # uid of the row kept for this cluster; the row's own uid where it is kept
        ("level", pa.string()),  # "" kept, "exact" same bytes or pixels, "near" a verified near-copy
        ("distance", pa.float32()),  # of the decoded small pixels to the kept row's, see dedup; 0 where kept
        ("multiplicity", pa.int32()),  # rows in the cluster, on every row of it
    ]
)
"""`duplicates.parquet` of dedup: a row for each picture of collect."""

SCORES = pa.schema(
    [
        ("uid", pa.string()),
        ("similarity", pa.float32()),  # best cosine of image and captions, [-1, 1]
        ("caption", pa.int32()),  # index of that caption
        ("file", pa.string()),  # artifact path of the embeddings (float16 .npy) ...
        ("index", pa.int64()),  # ... and the row of this image in it
    ]
)
"""`scores.parquet` of score: a row for each picture of collect that was scored; none if there is no CLIP."""

SELECTION = pa.schema(
    [
        ("uid", pa.string()),
        ("captions", CAPTIONS),  # those that passed the rules
        ("multiplicity", pa.int32()),
        ("cluster", pa.string()),
        ("similarity", pa.float32()),  # null where the run has no CLIP
    ]
)
"""`selection.parquet` of filter: a row for each picture to train on."""

LABELS = pa.list_(
    pa.struct(
        [
            ("name", pa.string()),  # what is labelled: "style", "quality"
            ("value", pa.string()),
            ("source", pa.string()),  # who says so
            ("weight", pa.float32()),  # how sure they are, [0, 1]
        ]
    )
)

INDEX = pa.schema(
    [
        ("uid", pa.string()),
        ("file", pa.string()),  # artifact path of the tar, "shards/train-00000.tar"
        ("offset", pa.int64()),  # of the image member's data in that tar, bytes
        ("length", pa.int64()),
        ("checksum", pa.uint32()),  # CRC-32 (zlib's) of these bytes
        ("width", pa.int32()),  # pixels, of what is stored
        ("height", pa.int32()),
        ("original_width", pa.int32()),  # pixels, of what was collected: as displayed, before `max_side`
        ("original_height", pa.int32()),
        ("split", pa.string()),  # "train", "validation" or "test"
        ("captions", CAPTIONS),
        ("labels", LABELS),  # empty where nobody says any
        ("multiplicity", pa.int32()),
        ("similarity", pa.float32()),
        ("sampling_weight", pa.float32()),  # null where nothing says one
    ],
    metadata={"sdflow.index_version": "2"},  # `sdmodel.data.index.VERSION`
)
"""`index.parquet` of shard: a row for each image in the tars, in tar order. What sdmodel reads; the file's
key-value metadata name the version."""


def uid_of(source: str, location: str) -> str:
    """The name of a picture: 32 hex digits of SHA-256 over the source's name and the normalised location."""
    return hashlib.sha256(f"{source}\n{location}".encode()).hexdigest()[:32]
