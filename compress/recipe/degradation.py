"""What a step of degradation is in YAML: one model a kind, each with its published source in docs/data.md.

An amount is a number, or ``[low, high]``: drawn uniformly, once a picture.
"""

from functools import partial
from operator import eq, is_
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from compress.recipe.strict import Strict


def _ordered(value: list[float]) -> list[float]:
    if len(value) != 2 or value[0] > value[1]:
        raise ValueError(f"must be [low, high], two numbers with low <= high, got {value}: write the smaller one first")
    return value


def _form(value: Any) -> str:
    return "range" if isinstance(value, list | tuple) else "number"


_Ordered = AfterValidator(_ordered)
_Range, _Number, _Form = Tag("range"), Tag("number"), Discriminator(_form)

Sigma8Bit = Annotated[float, Field(gt=0, le=100)]
SigmaPx = Annotated[float, Field(gt=0, le=20)]
Positive = Annotated[float, Field(gt=0, le=1000)]
Intensity = Annotated[float, Field(ge=0, le=1)]

NoiseAmount = Annotated[
    Annotated[Sigma8Bit, _Number] | Annotated[list[Sigma8Bit], _Ordered, _Range],
    _Form,
]
BlurAmount = Annotated[Annotated[SigmaPx, _Number] | Annotated[list[SigmaPx], _Ordered, _Range], _Form]
Length = Annotated[Annotated[Positive, _Number] | Annotated[list[Positive], _Ordered, _Range], _Form]
Shake = Annotated[Annotated[Intensity, _Number] | Annotated[list[Intensity], _Ordered, _Range], _Form]


# A set's hash is over its steps as they are dumped. So a setting that came after 0.1.0 is left out of the dump where it
# changes nothing (`exclude_if`): dumped always, it would make another set of every set that runs have recorded.


class SuperResolution(Strict):
    """Bicubic reduction (antialiased, Pillow's kernel), noise if noise is set, and enlargement to the original size."""

    kind: Literal["sr"] = "sr"
    scale: Literal[2, 4, 8] = Field(
        4, description="Factor by which pictures are reduced, and by which the model enlarges them."
    )
    noise: NoiseAmount | None = Field(
        None,
        exclude_if=partial(is_, None),
        description="Standard deviation of Gaussian noise on the small picture in 1/255, or [low, high].",
    )
    enlargement: Literal["bicubic", "bilinear", "nearest-exact"] = Field(
        "bicubic",
        exclude_if=partial(eq, "bicubic"),
        description="Interpolation that enlarges the small picture.",
    )


class GaussianNoise(Strict):
    """Additive white Gaussian noise, rounded and clipped to 8 bits."""

    kind: Literal["noise"] = "noise"
    sigma: NoiseAmount = Field(25.0, description="Standard deviation in 1/255, or [low, high].")


class Grey(Strict):
    """Input for colourisation: BT.601 luma, rounded to 8 bits, in all three channels."""

    kind: Literal["grey"] = "grey"


class Blur(Strict):
    """Gaussian blur with mirrored borders."""

    kind: Literal["blur"] = "blur"
    sigma: BlurAmount = Field(1.6, description="Standard deviation in px, or [low, high].")


class Jpeg(Strict):
    """JPEG compression."""

    kind: Literal["jpeg"] = "jpeg"
    quality: int = Field(40, ge=1, le=100, description="JPEG quality on Pillow's scale.")


class MotionBlur(Strict):
    """Blur along a path: the random trajectory of a hand-held camera, or a straight line. Borders are mirrored."""

    kind: Literal["motion"] = "motion"
    path: Literal["camera", "line"] = Field(
        "camera", description="Kind of motion: a camera's random trajectory, or a straight line."
    )
    size: int = Field(31, ge=3, le=129, description="Side of the kernel in px, an odd number.")
    length: Length | None = Field(
        None, description="Length of the path in px, or [low, high]; by default 15/16 of size."
    )
    intensity: Shake = Field(
        [0.001, 0.01], description="How much the camera shakes; 0 gives a straight line. For camera only."
    )
    angle: float | None = Field(
        None, ge=-360, le=360, description="Angle from the x axis in degrees; by default random. For line only."
    )

    @model_validator(mode="after")
    def _fits(self) -> "MotionBlur":
        if self.size % 2 == 0:
            raise ValueError(f"size must be odd, got {self.size}: take {self.size + 1}")
        longest = self.length[1] if isinstance(self.length, list) else self.length or 0
        if longest > self.size - 1:
            raise ValueError(
                f"length must be at most size - 1 (={self.size - 1}), got {longest:g}: raise size, or lower length"
            )
        if self.path == "camera" and self.angle is not None:
            raise ValueError("angle is for path line: leave it out for path camera, which turns as it goes")
        return self


class Mask(Strict):
    """Input for inpainting: pixels are lost, in all three channels at once."""

    kind: Literal["mask"] = "mask"
    pattern: Literal["pixels", "boxes", "strokes", "square"] = Field(
        "pixels", description="What is lost: single pixels, boxes, strokes, or a square at the picture's centre."
    )
    share: float | None = Field(
        None,
        gt=0,
        le=0.99,
        description="Share of the picture that is lost; by default 0.9 for pixels and 0.25 otherwise.",
    )
    fill: int = Field(0, ge=0, le=255, description="Value that the lost pixels get.")


class BlindSuperResolution(Strict):
    """Real-ESRGAN's pipeline, then bicubic enlargement to the original size."""

    kind: Literal["blind_sr"] = "blind_sr"
    scale: Literal[2, 4] = Field(
        4, description="Factor by which pictures are reduced, and by which the model enlarges them."
    )
    second_order: float = Field(
        1.0,
        ge=0,
        le=1,
        exclude_if=partial(eq, 1.0),
        description="Probability of the second blur, resize and noise; 0 leaves them out, as ELIR's published model "
        "does.",
    )


class BlindFace(Strict):
    """Blur, reduction, noise, JPEG, and bilinear resizing to the original size; by default with GFPGAN's published
    ranges.
    """

    kind: Literal["blind_face"] = "blind_face"
    kernels: Literal["mixed", "isotropic"] = Field(
        "mixed",
        exclude_if=partial(eq, "mixed"),
        description="Kind of Gaussian kernel, of 41 px; mixed draws isotropic and anisotropic kernels equally often.",
    )
    blur_sigma: Annotated[list[SigmaPx], _Ordered] = Field(
        [0.1, 10.0], description="Standard deviation of the kernel in px."
    )
    downsample: Annotated[list[Annotated[float, Field(ge=0.5, le=64)]], _Ordered] = Field(
        [0.8, 8.0], description="Factor by which the picture is reduced, or its range."
    )
    uniform: Literal["factor", "side"] = Field(
        "factor",
        exclude_if=partial(eq, "factor"),
        description="What is drawn uniformly: the reduction factor, or the side of the reduced picture.",
    )
    noise: Annotated[list[Annotated[float, Field(ge=0, le=100)]], _Ordered] = Field(
        [0.0, 20.0], description="Standard deviation of the noise in 1/255."
    )
    jpeg: Annotated[list[Annotated[float, Field(ge=1, le=100)]], _Ordered] = Field(
        [60.0, 100.0], description="JPEG quality on Pillow's scale."
    )


Degradation = Annotated[
    SuperResolution | GaussianNoise | Grey | Blur | Jpeg | MotionBlur | Mask | BlindSuperResolution | BlindFace,
    Field(discriminator="kind"),
]
