"""A checkpoint, an artifact or a bundle on any picture: restore, evaluate, model card, demo."""
