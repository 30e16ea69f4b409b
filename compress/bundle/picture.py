"""Pictures of a bundle, from the bytes that its manifest's hash was held against."""

import io

import numpy as np

from compress.bundle.open import Bundle
from compress.data.pictures import read_rgb
from compress.errors import InputError, VerificationError


def read_picture(bundle: Bundle, name: str) -> np.ndarray:
    """(H, W, 3) uint8 of a bundle's file.

    Raises VerificationError for one that the manifest does not list, that differs from it, or that is not a picture.
    """
    try:
        return read_rgb(io.BytesIO(bundle.read(name)), str(bundle.folder / name))
    except InputError as error:
        raise VerificationError(str(error)) from None
