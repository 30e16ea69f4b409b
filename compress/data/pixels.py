"""Work on a picture's pixels, (H, W, 3) in [0, 255], that several degradations share."""

import io

import numpy as np
from PIL import Image
from scipy.signal import fftconvolve

from compress.data.open import jpeg_round_trip


def to_8_bits(values: np.ndarray) -> np.ndarray:
    """Rounded and clipped to uint8."""
    return values.round().clip(0, 255).astype(np.uint8)


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    """``picture`` (uint8) through a JPEG file of Pillow's ``quality``, 1 to 100."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(jpeg_round_trip(buffer))


def convolve(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Each channel convolved with ``kernel``, odd sides, float64; borders mirrored without repeating the edge."""
    rows, columns = (side // 2 for side in kernel.shape)
    padded = np.pad(values.astype(np.float64), ((rows, rows), (columns, columns), (0, 0)), mode="reflect")
    return fftconvolve(padded, kernel[:, :, None], mode="valid", axes=(0, 1))


def resize(values: np.ndarray, height: int, width: int, method: Image.Resampling) -> np.ndarray:
    """Pillow's resampling in float32, antialiased when shrinking; sides of 1 px at least."""
    size = max(1, width), max(1, height)
    channels = [Image.fromarray(values[..., c].astype(np.float32)).resize(size, method) for c in range(3)]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)
