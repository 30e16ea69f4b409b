"""The artifact in OpenVINO. Apache License 2.0, see licences/."""

import openvino


class Model:
    """``facts``: compress.json, of which ``device`` and ``options`` count here."""

    def __init__(self, path, facts):
        # Without INFERENCE_PRECISION_HINT, which the options hold, CPUs with AMX compute the float parts in bfloat16.
        self.model = openvino.Core().compile_model(path, facts["device"], facts["options"])

    def run(self, inputs):
        """Arrays by their names, of which the artifact takes its own -> array."""
        return self.model({port.any_name: inputs[port.any_name] for port in self.model.inputs})[0]
