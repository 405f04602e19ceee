"""TensorBoard's own records of three events, written by its writer and read back by its loader before they are kept."""
import io
import json
import pathlib
import tempfile

import tensorboard
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

HERE = pathlib.Path(__file__).parent


def event(wall_time, step, scalars):
    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars]
    return Event(wall_time=wall_time, step=step, summary=Summary(value=values))


EVENTS = [
    {"wall_time": 1.5, "step": 1, "task": "vae", "scalars": [["objective", 20.5], ["kl", 3.25]]},
    {"wall_time": 1764000000.125, "step": 300, "task": "a task with a long name " * 8, "scalars": [["objective", -1e-20]]},
    {"wall_time": 1764000001.0, "step": 2**40, "task": "vae/validation", "scalars": [["objective", float(2**70)]]},
]
for told in EVENTS:
    file = io.BytesIO()
    RecordWriter(file).write(event(told["wall_time"], told["step"],
                                   [(f"{told['task']}/{name}", value) for name, value in told["scalars"]]).SerializeToString())
    told["record"] = file.getvalue().hex()
with tempfile.NamedTemporaryFile(suffix=".tfevents") as file:
    file.write(b"".join(bytes.fromhex(told["record"]) for told in EVENTS))
    file.flush()
    assert [loaded.step for loaded in EventFileLoader(file.name).Load()] == [told["step"] for told in EVENTS]
json.dump({"tensorboard": tensorboard.__version__, "events": EVENTS}, open(HERE / "event_file.json", "w"), indent=1)
