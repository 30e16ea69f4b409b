"""The artifact in ExecuTorch. Apache License 2.0, see licences/."""

import torch
from executorch_import import without_compiler

with without_compiler():
    import executorch.kernels.quantized  # noqa: F401 - quantize and dequantize outside of XNNPACK
    from executorch.runtime import Runtime


class Model:
    """``facts``: compress.json, of which nothing counts here."""

    def __init__(self, path, facts):
        # A method does not keep its program alive.
        self.program = Runtime.get().load_program(path)
        self.method = self.program.load_method("forward")

    def run(self, inputs):
        """Arrays by their names, in the artifact's order, of which it takes the first -> array."""
        own = list(inputs.values())[: self.method.metadata.num_inputs()]
        return self.method.execute([torch.from_numpy(value) for value in own])[0].numpy()
