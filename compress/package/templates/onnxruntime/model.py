"""The artifact in ONNX Runtime. Apache License 2.0, see licences/."""

import onnxruntime

# A device's processor -> ONNX Runtime's providers, the first that can take an operator first.
PROVIDERS = {"GPU": ["TensorrtExecutionProvider", "CPUExecutionProvider"]}
LEVELS = {"disable": "DISABLE_ALL", "basic": "ENABLE_BASIC", "extended": "ENABLE_EXTENDED", "all": "ENABLE_ALL"}


class Model:
    """``facts``: compress.json, of which ``device`` and ``options`` count here."""

    def __init__(self, path, facts):
        settings = onnxruntime.SessionOptions()
        for name, value in facts["options"].items():
            if name == "graph_optimization_level":
                settings.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, "ORT_" + LEVELS[value])
            else:
                settings.add_session_config_entry(name, str(int(value) if isinstance(value, bool) else value))
        providers = PROVIDERS.get(facts["device"], ["CPUExecutionProvider"])
        self.session = onnxruntime.InferenceSession(path, settings, providers=providers)

    def run(self, inputs):
        """Arrays by their names, of which the artifact takes its own -> array."""
        return self.session.run(None, {port.name: inputs[port.name] for port in self.session.get_inputs()})[0]
