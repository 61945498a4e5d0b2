"""`sdflow generate`: new pictures from a model of the store."""

import tempfile
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.cli.models.prompts import conditions_of, pictures_to_draw, read_captions, scales_of, size_of
from flows.cli.models.unconditional import check_options, draw_unconditional, generator_in
from flows.cli.options import DEFAULT_STORE, StoreOption, open_to_read
from flows.cli.store.listing import print_lines
from sdmodel.config.limits import Device
from sdmodel.config.sampling import SamplerName, SamplingConfig


def generate(
    model: Annotated[str, Parameter(help="Reference (models/demo) or the first digits of a fingerprint.")],
    /,
    *captions: Annotated[str, Parameter(help="What to draw.")],
    captions_file: Annotated[
        str,
        Parameter(
            name="--captions",
            allow_leading_hyphen=True,
            help='File of more captions, one a line; "-" reads standard input.',
        ),
    ] = "",
    out: Annotated[
        str, Parameter(help="PNG file to write, a grid; or a folder, ending in /, for a file each picture.")
    ] = "grid.png",
    count: Annotated[int | None, Parameter(help="Pictures for each caption; 4 unless told.")] = None,
    seed: Annotated[
        int | None, Parameter(help="Of the first; the same seed and caption give the same picture.")
    ] = None,
    seeds: Annotated[str, Parameter(help="Instead of these two, a picture for each seed: 0,1,2.")] = "",
    size: Annotated[
        str, Parameter(help="Pixels, WIDTHxHEIGHT or one number; the size that was trained unless told.")
    ] = "",
    sampler: Annotated[
        SamplerName | None, Parameter(help="How; what is not told of all this is the model's.")
    ] = None,
    steps: Annotated[int | None, Parameter(help="Sampling steps.")] = None,
    guidance: Annotated[float | None, Parameter(help="Classifier-free guidance; 1 is none.")] = None,
    interval: Annotated[
        tuple[float, float] | None,
        Parameter(negative="", help="Times of guidance, 0 is noise and 1 the picture."),
    ] = None,
    rescale: Annotated[
        float | None, Parameter(help="Against over-exposure by strong guidance, up to 1.")
    ] = None,
    negative: Annotated[str | None, Parameter(help="Caption of what shall not be drawn.")] = None,
    condition: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="What else all pictures are to be, NAME=VALUE, of a model that was taught it "
            "(train.conditions): shape=circle, tags=red,round, similarity=0.3, size=512x384. May come "
            "several times; without a caption it stands alone.",
        ),
    ] = (),
    condition_guidance: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="Guidance scale of a condition, NAME=SCALE."),
    ] = (),
    image: Annotated[
        str,
        Parameter(
            help="File of a picture that all are to be like, of a model with train.conditions.picture; "
            "without a caption it stands alone."
        ),
    ] = "",
    image_guidance: Annotated[
        float | None, Parameter(help="Guidance scale of that picture; 1 is none, the model's unless told.")
    ] = None,
    autoguidance: Annotated[
        str, Parameter(help="Model that guidance leads away from, such as an early average of this one.")
    ] = "",
    device: Annotated[Device, Parameter(help="Where to compute.")] = "auto",
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Draw captions with a trained model, as one PNG grid or as a file for each picture.

    Pictures say inside, as text, of which caption, seed, sampling and model they are.

    **Examples**

    ```
    sdflow generate models/demo "a small red circle in the top left" --out circle.png
    sdflow generate models/birds@2 "a bird" "two birds" --count 6 --seed 7 --guidance 3
    sdflow generate models/birds --captions captions.txt --seeds 0,1,2 --out birds/
    sdflow generate models/birds "a wide lake" --size 64x32 --sampler heun --steps 20
    sdflow generate models/birds "a bird" --condition family=owl --condition-guidance family=3
    sdflow generate models/birds "a bird" --image ref.png --image-guidance 3
    sdflow generate models/gan --count 16 --out drawn.png
    sdflow generate models/birds "a bird" --autoguidance models/birds-0.1-50000 --guidance 2
    ```
    """
    from stages.artifacts.reference import resolve
    from stages.report.reference_picture import read_picture
    from stages.report.text_to_image import check_alike, check_shown, settings_of

    beside = conditions_of(condition)
    texts = [*captions, *read_captions(captions_file)] or [""] * bool(beside or image)
    generator = None if texts else generator_in(open_to_read(store), model)
    chosen_seeds, destination = pictures_to_draw(
        [""] if generator else texts, out, count=count, seed=seed, seeds=seeds
    )
    sampling = SamplingConfig(
        sampler=sampler,
        steps=steps,
        guidance=guidance,
        interval=interval,
        rescale=rescale,
        negative=negative,
        conditions=scales_of(condition_guidance, image_guidance),
    )
    if generator:
        check_options(model, sampling != SamplingConfig(), size, autoguidance)
        draw_unconditional(generator, model, chosen_seeds, destination, device)
        return
    if autoguidance and negative:
        raise ValueError(
            f"--negative {negative!r} --autoguidance {autoguidance}: guidance leads away from one of both; "
            "leave the other out"
        )
    opened = open_to_read(store)
    artifact = resolve(opened, model)
    settings = settings_of(artifact, model)
    pixels = size_of(size, settings)
    if image:
        check_shown(settings, model)
    picture = read_picture(Path(image), "--image") if image else None
    weak = resolve(opened, autoguidance) if autoguidance else None
    if weak is not None:
        check_alike(artifact, model, weak, autoguidance)

    # torch takes seconds to import: after the checks that need none of it.
    from flows.run.terminal import Terminal
    from stages.report.grid import Artist, Prompts

    terminal = Terminal()
    with tempfile.TemporaryDirectory() as folder, terminal.late("generate") as progress:
        artist = Artist(
            artifact.lay("model/", Path(folder, "model")),
            f"{model} {artifact.short_name}",
            sampling,
            size=pixels,
            weak=weak.lay("model/", Path(folder, "weak")) if weak is not None else None,
            conditions=beside,
            picture=picture,
            device=device,
        )
        prompts = Prompts(captions=texts, seeds=chosen_seeds)
        paths = destination.write(artist, prompts, progress)
    print_lines(map(str, paths))
    for words in artist.warnings(texts):
        terminal.warn("generate", words)
