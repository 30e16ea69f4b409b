"""Artifacts in a headless Chromium, by onnxruntime-web."""
