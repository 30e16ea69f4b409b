"""The latent grid, on which all of the model but the picture's two ends works."""

LATENT_CHANNELS = 16
LATENT_STRIDE = 8  # px of the picture per latent sample
SIZE_MULTIPLE = 32  # px, of height and width: three halvings in the autoencoder, two in the flow net


def noise_shape(height: int, width: int, batch: int = 1) -> tuple[int, int, int, int]:
    """Shape of the noise for a picture of height x width pixels."""
    return batch, LATENT_CHANNELS, height // LATENT_STRIDE, width // LATENT_STRIDE
