"""`sdflow generate`: new images from a model of the store."""

import tempfile
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.cli.options import DEFAULT_STORE, StoreOption, open_to_read
from flows.cli.store.listing import print_lines
from sdmodel.config.sampling import SamplingConfig


def generate(
    model: Annotated[str, Parameter(help="Reference (models/demo) or the first digits of a fingerprint.")],
    /,
    *captions: Annotated[str, Parameter(help="What to draw; a row of the grid for each.")],
    out: Annotated[Path, Parameter(help="PNG file to write.")] = Path("grid.png"),
    count: Annotated[int, Parameter(help="Images for each caption.")] = 4,
    seed: Annotated[int, Parameter(help="Of the noise; the same seed and caption give the same image.")] = 0,
    guidance: Annotated[float | None, Parameter(help="Classifier-free guidance; 1 is none.")] = None,
    steps: Annotated[int | None, Parameter(help="Sampling steps.")] = None,
    device: Annotated[str, Parameter(help='"cpu", "cuda" or "auto".')] = "auto",
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Draw captions with a trained model, as one PNG grid.

    **Examples**

    ```
    sdflow generate models/demo "a small red circle in the top left" --out circle.png
    sdflow generate models/birds@2 "a bird" "two birds" --count 6 --seed 7 --guidance 3
    ```
    """
    from stages.artifacts.reference import resolve

    if not captions:
        raise ValueError(
            'generate needs at least one caption, such as: sdflow generate models/demo "a red circle"'
        )
    if count < 1:
        raise ValueError(f"--count {count} must be at least 1")
    sampling = SamplingConfig(steps=steps, guidance=guidance)
    if not out.parent.is_dir():
        raise ValueError(f"--out {out}: there is no folder {out.parent}")
    artifact = resolve(open_to_read(store), model)
    if artifact.kind != "model" or artifact.statistics.get("objective", "diffusion") != "diffusion":
        what = artifact.statistics.get("objective") or artifact.kind
        raise ValueError(f"{model} is no text-to-image model but {what}; `sdflow ls` shows models")

    # torch takes seconds to import: after the checks that need none of it.
    from stages.report.grid import draw

    with tempfile.TemporaryDirectory() as folder:
        laid = artifact.lay("model/", Path(folder))
        notes = draw(laid, list(captions), out, count=count, seed=seed, sampling=sampling, device=device)
    print_lines([str(out), *(f"note: {words}" for words in notes)])
