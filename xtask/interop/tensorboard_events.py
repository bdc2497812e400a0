"""Reads event files with TensorBoard's own readers, and compares what they find with what was logged.

FOLDER has the event files in `run`, and in `expected.json` what a reader must find. With `--fixture PATH` what was found
is also written there, for the tests of `downhill-log`.
"""

import argparse
import json
import math
import pathlib
import sys
import time

import numpy as np
from tensorboard import context
from tensorboard.backend.event_processing import (
    data_provider,
    event_accumulator,
    plugin_event_accumulator,
    plugin_event_multiplexer,
)
from tensorboard.data import provider, server_ingester
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.util import grpc_util, tensor_util


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
    """What the `EventAccumulator` of TensorBoard's pages finds."""
    all_of_them = {"scalars": 0, "histograms": 0}
    accumulator = plugin_event_accumulator.EventAccumulator(str(folder), tensor_size_guidance=all_of_them)
    accumulator.Reload()
    found = {"scalars": {}, "histograms": {}, "graph": []}
    for tag in accumulator.Tags()["tensors"]:
        metadata = accumulator.SummaryMetadata(tag)
        plugin, content = metadata.plugin_data.plugin_name, metadata.plugin_data.content
        tensors = [(event.step, tensor_util.make_ndarray(event.tensor_proto)) for event in accumulator.Tensors(tag)]
        if plugin == "scalars":
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
    for node in accumulator.Graph().node:
        shape = node.attr["_output_shapes"].list.shape[0]
        found["graph"].append([node.name, node.op, list(node.input), [dim.size for dim in shape.dim]])
    seconds = found["scalars"].pop("epoch/seconds")
    assert all(value >= 0 for _, value in seconds), seconds
    return found


def accumulated_before(folder):
    """The scalars that the older `EventAccumulator` finds, which many programs read with."""
    accumulator = event_accumulator.EventAccumulator(str(folder), size_guidance={event_accumulator.SCALARS: 0})
    accumulator.Reload()
    scalars = {tag: [[event.step, exact(event.value)] for event in accumulator.Scalars(tag)]
               for tag in accumulator.Tags()["scalars"]}
    scalars.pop("epoch/seconds")
    return {"scalars": scalars}


def served(data):
    """The scalars and histograms that a provider has for the pages."""
    asked = {"experiment_id": "", "downsample": 10_000, "run_tag_filter": provider.RunTagFilter()}
    scalars = data.read_scalars(context.RequestContext(), plugin_name="scalars", **asked)
    histograms = data.read_tensors(context.RequestContext(), plugin_name="histograms", **asked)
    scalars = {tag: [[datum.step, exact(datum.value)] for datum in data]
               for tag, data in scalars.get("run", {}).items()}
    histograms = {tag: [[datum.step, *histogram(datum.numpy)] for datum in data]
                  for tag, data in histograms.get("run", {}).items()}
    scalars.pop("epoch/seconds", None)
    return {"scalars": scalars, "histograms": histograms}


def served_by_python(folder):
    """What the pages show with `--load_fast=false`."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer(tensor_size_guidance={"scalars": 0, "histograms": 0})
    multiplexer.AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    return served(data_provider.MultiplexerDataProvider(multiplexer, str(folder)))


def served_by_data_server(folder, expected):
    """What the pages show by default, once the server has read all."""
    ingester = server_ingester.SubprocessServerDataIngester(
        server_binary=server_ingester.get_server_binary(),
        logdir=str(folder),
        reload_interval=1,
        channel_creds_type=grpc_util.ChannelCredsType.LOCAL,
        samples_per_plugin={"scalars": 0, "histograms": 0},
    )
    ingester.start()
    deadline = time.monotonic() + 30
    while (found := served(ingester.data_provider)) != expected and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--fixture", type=pathlib.Path)
    arguments = parser.parse_args()
    expected = json.loads((arguments.folder / "expected.json").read_text())
    on_pages = {name: expected[name] for name in ("scalars", "histograms")}
    found = accumulated(arguments.folder / "run")
    readers = [
        ("the EventAccumulator", found, expected),
        ("the older EventAccumulator", accumulated_before(arguments.folder / "run"), {"scalars": expected["scalars"]}),
        ("the multiplexer", served_by_python(arguments.folder), on_pages),
        ("the data server", served_by_data_server(arguments.folder, on_pages), on_pages),
    ]
    for reader, found_by_it, expected_of_it in readers:
        for name in sorted(found_by_it.keys() | expected_of_it.keys()):
            if found_by_it.get(name) != expected_of_it.get(name):
                sys.exit(f"{reader} finds as {name}\n{found_by_it.get(name)}\nand not\n{expected_of_it.get(name)}")
    if arguments.fixture:
        arguments.fixture.write_text(json.dumps(found, sort_keys=True) + "\n")
    counts = {name: sum(map(len, found[name].values())) for name in ("scalars", "histograms")}
    print(f"{', '.join(reader for reader, *_ in readers)} find {counts['scalars']} scalars of {len(found['scalars'])} tags, "
          f"{counts['histograms']} histograms of {len(found['histograms'])} tags, {len(found['graph'])} nodes and "
          f"{len(found['hyperparameters'])} hyperparameters as they were logged")


main()
