"""Reads LEADS's CSV with LEADS's own data tools, and checks that it is what LEADS itself writes of the same frames.

    check_csv.py FILE FRAMES      FRAMES: what was sent, a JSON object a line
"""
import io
import json
import math
import sys

from leads.data_persistence import CSV, CSVDataset, DEFAULT_HEADER_FULL, VISUAL_HEADER_FULL
from leads.data_persistence.analyzer import (InferredDataset, Preprocessor, SafeSpeedInference,
                                             SpeedInferenceByAcceleration, SpeedInferenceByMileage)


def main():
    path = sys.argv[1]
    with open(sys.argv[2]) as file:
        frames = [json.loads(line) for line in file]
    header = VISUAL_HEADER_FULL if set(VISUAL_HEADER_FULL) <= set(frames[0]) else DEFAULT_HEADER_FULL
    original = io.StringIO()
    csv = CSV(original, header)
    for frame in frames:
        csv.write_frame(*(frame.get(name) for name in header))
    with open(path, newline="") as file:
        written = file.read()
    for ours, theirs in zip(written.splitlines(), original.getvalue().splitlines()):
        assert ours == theirs, f"\n{ours}\n{theirs}"
    assert written == original.getvalue()

    dataset = CSVDataset(path)
    assert dataset.read_header() == header
    # list() would ask for the length, which LEADS cannot tell.
    rows = [row for row in dataset]
    assert len(rows) == len(frames)
    for row, frame in zip(rows, frames):
        for name in header:
            ours, sent = row[name], frame.get(name)
            if sent != sent:
                # NaN, which is an empty field.
                sent = None
            # pandas reads numbers to about the last digit.
            is_same = math.isclose(ours, sent, rel_tol=1e-15) if isinstance(sent, float) else ours == sent
            assert is_same, (name, ours, sent)

    inferred = InferredDataset(path)
    inferred.load()
    methods = SafeSpeedInference(), SpeedInferenceByAcceleration(), SpeedInferenceByMileage()
    print("inferred", inferred.complete(*methods))
    tensor = Preprocessor(rows).to_tensor(("t", "speed", "latitude", "longitude"))
    print("tensor", tensor.shape)


main()
