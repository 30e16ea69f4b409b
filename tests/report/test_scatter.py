"""Every dot has its place, its kind and its tooltip."""

import re
import xml.etree.ElementTree as ET

from compress.report.scatter import HEIGHT, WIDTH, Dot, draw_scatter

KINDS = {"best": "nothing beats it", "other": "beaten"}
DOTS = [Dot(20.0, 40.0, "best", "small & far"), Dot(26.0, 46.0, "best", "own"), Dot(25.0, 41.0, "other", "no use")]


def test_dots_inside_their_axes() -> None:
    text = draw_scatter("sizes", ("size, %", "fidelity, dB"), DOTS, KINDS)
    ET.fromstring(text)
    assert text.count("<title>") == len(DOTS)
    assert "small &amp; far" in text and "fidelity, dB" in text
    marks = re.findall(r'<circle class="k(\d)" cx="([\d.]+)" cy="([\d.]+)" r="5"><title>([^<]*)', text)
    places = {tip: (float(x), float(y), int(kind)) for kind, x, y, tip in marks}
    assert places["no use"][2] == 1
    assert places["small &amp; far"][0] < places["no use"][0] < places["own"][0] < WIDTH
    assert 0 < places["own"][1] < places["no use"][1] < places["small &amp; far"][1] < HEIGHT
