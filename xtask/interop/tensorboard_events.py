"""Reads event files with TensorBoard's own readers, and compares what they find with what was logged.

FOLDER has the event files in `run`, and in `expected.json` what a reader must find. With `--fixture PATH` what was found
is also written there, for the tests of `downhill-log`.
"""

import argparse
import json
import math
import pathlib
import sys

import numpy as np
from tensorboard import context
from tensorboard.backend.event_processing import data_provider, plugin_event_accumulator, plugin_event_multiplexer
from tensorboard.compat.proto import summary_pb2
from tensorboard.data import provider
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.util import tensor_util


def exact(number):
    """A number as JSON has it, or as a string."""
    number = float(number)
    if math.isnan(number):
        return "NaN"
    return {math.inf: "inf", -math.inf: "-inf"}.get(number, number)


def histogram(tensor):
    """The smallest number, the largest, and how many there are."""
    assert tensor.shape == (30, 3) and tensor.dtype == np.float64, tensor
    assert (tensor[1:, 0] == tensor[:-1, 1]).all() and (tensor[:, 0] <= tensor[:, 1]).all(), tensor
    return [exact(tensor[0, 0]), exact(tensor[-1, 1]), float(tensor[:, 2].sum())]


def accumulated(folder):
    """What the `EventAccumulator` finds: that of TensorBoard's pages, since the older one forgets no tensors."""
    all_of_them = {"scalars": 0, "histograms": 0}
    accumulator = plugin_event_accumulator.EventAccumulator(str(folder), tensor_size_guidance=all_of_them)
    accumulator.Reload()
    found = {"scalars": {}, "histograms": {}}
    for tag in accumulator.Tags()["tensors"]:
        metadata = accumulator.SummaryMetadata(tag)
        plugin, content = metadata.plugin_data.plugin_name, metadata.plugin_data.content
        tensors = [(event.step, tensor_util.make_ndarray(event.tensor_proto)) for event in accumulator.Tensors(tag)]
        if plugin == "scalars":
            assert metadata.data_class == summary_pb2.DATA_CLASS_SCALAR, tag
            assert all(tensor.shape == () and tensor.dtype == np.float64 for _, tensor in tensors), tag
            found["scalars"][tag] = [[step, exact(tensor)] for step, tensor in tensors]
        elif plugin == "histograms":
            found["histograms"][tag] = [[step, *histogram(tensor)] for step, tensor in tensors]
        elif tag == hparams_metadata.EXPERIMENT_TAG:
            experiment = hparams_metadata.parse_experiment_plugin_data(content)
            found["results"] = [metric.name.tag for metric in experiment.metric_infos]
        elif tag == hparams_metadata.SESSION_START_INFO_TAG:
            start = hparams_metadata.parse_session_start_info_plugin_data(content)
            values = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
            found["hyperparameters"] = dict(sorted(values.items()))
        elif tag == hparams_metadata.SESSION_END_INFO_TAG:
            found["status"] = hparams_metadata.parse_session_end_info_plugin_data(content).status
        elif plugin != "graphs":
            sys.exit(f"the tag {tag} of the plugin {plugin} is unknown")
    found["graph"] = []
    for node in accumulator.Graph().node:
        shape = node.attr["_output_shapes"].list.shape[0]
        found["graph"].append([node.name, node.op, list(node.input), [dim.size for dim in shape.dim]])
    seconds = found["scalars"].pop("epoch/seconds")
    assert all(value >= 0 for _, value in seconds), seconds
    return found


def served(folder):
    """The scalars and histograms that the pages show."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer(tensor_size_guidance={"scalars": 0, "histograms": 0})
    multiplexer.AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    data = data_provider.MultiplexerDataProvider(multiplexer, str(folder))
    asked = {"experiment_id": "", "downsample": 10_000, "run_tag_filter": provider.RunTagFilter()}
    scalars = data.read_scalars(context.RequestContext(), plugin_name="scalars", **asked)
    histograms = data.read_tensors(context.RequestContext(), plugin_name="histograms", **asked)
    assert list(scalars) == list(histograms) == ["run"], (list(scalars), list(histograms))
    scalars = {tag: [[datum.step, exact(datum.value)] for datum in data] for tag, data in scalars["run"].items()}
    histograms = {tag: [[datum.step, *histogram(datum.numpy)] for datum in data]
                  for tag, data in histograms["run"].items()}
    scalars.pop("epoch/seconds")
    return {"scalars": scalars, "histograms": histograms}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--fixture", type=pathlib.Path)
    arguments = parser.parse_args()
    expected = json.loads((arguments.folder / "expected.json").read_text())
    found = accumulated(arguments.folder / "run")
    pages = served(arguments.folder)
    for name, values in expected.items():
        if found[name] != values:
            sys.exit(f"{name}: TensorBoard reads\n{found[name]}\nand not\n{values}")
        if name in pages and pages[name] != values:
            sys.exit(f"{name}: TensorBoard shows\n{pages[name]}\nand not\n{values}")
    if found.keys() != expected.keys():
        sys.exit(f"TensorBoard reads {sorted(found)} and not {sorted(expected)}")
    if arguments.fixture:
        arguments.fixture.write_text(json.dumps(found, sort_keys=True) + "\n")
    counts = {name: sum(map(len, found[name].values())) for name in ("scalars", "histograms")}
    print(f"TensorBoard reads {counts['scalars']} scalars of {len(found['scalars'])} tags, {counts['histograms']} "
          f"histograms of {len(found['histograms'])} tags, {len(found['graph'])} nodes and "
          f"{len(found['hyperparameters'])} hyperparameters as they were logged")


main()
