"""torch's seeded normal noise without torch, for machines that only run and verify artifacts."""

import numpy as np

CHUNK = 16  # torch transforms uniform numbers to normal ones by sixteens, the first eight with the last


def standard_normal(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """``torch.randn(shape, generator=torch.Generator().manual_seed(seed))`` on the CPU, float32, within 1e-6.

    MT19937, 24 bits a number, Box and Muller's transform. Raises ValueError unless ``shape`` holds a multiple of 16
    values, which every noise of an artifact does.
    """
    count = int(np.prod(shape))
    if count % CHUNK:
        raise ValueError(f"shape {shape} holds {count} values: a multiple of {CHUNK} is needed")
    words = np.random.RandomState(seed & 0xFFFFFFFF).randint(0, 2**32, count, dtype=np.uint32)
    uniform = (words & np.uint32(2**24 - 1)).astype(np.float32) * np.float32(2**-24)
    first, last = np.split(uniform.reshape(-1, CHUNK), 2, axis=1)
    radius, angle = np.sqrt(-2 * np.log(1 - first)), np.float32(2 * np.pi) * last
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(shape)
