"""The latent grid, on which all of the model but the picture's two ends works."""

LATENT_CHANNELS = 16
LATENT_STRIDE = 8  # px of the picture per latent sample
SIZE_MULTIPLE = 32  # px, of height and width: three halvings in the autoencoder, two in the flow net


def on_grid(side: int) -> int:
    """``side`` px rounded up to ``SIZE_MULTIPLE``: what the networks see of it, padded."""
    return -(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE


def noise_shape(height: int, width: int, batch: int = 1) -> tuple[int, int, int, int]:
    """Shape of the noise for a picture of height x width pixels, padded as the networks see it."""
    return batch, LATENT_CHANNELS, on_grid(height) // LATENT_STRIDE, on_grid(width) // LATENT_STRIDE
