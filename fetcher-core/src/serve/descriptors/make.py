#!/usr/bin/env python3
"""Makes services.bin, which gRPC server reflection answers from: the descriptors of the services that are served, and
of all that they import, as they come with BuildStream. Run it in an environment with buildstream==2.8.1."""

import pathlib

from buildstream._protos.build.bazel.remote.asset.v1 import remote_asset_pb2
from buildstream._protos.build.bazel.remote.execution.v2 import remote_execution_pb2
from buildstream._protos.google.bytestream import bytestream_pb2
from google.protobuf import descriptor_pb2

files = {}


def add(file):
    if file.name not in files:
        for imported in file.dependencies:
            add(imported)
        file.CopyToProto(files.setdefault(file.name, descriptor_pb2.FileDescriptorProto()))


for module in remote_asset_pb2, remote_execution_pb2, bytestream_pb2:
    add(module.DESCRIPTOR)
encoded = descriptor_pb2.FileDescriptorSet(file=files.values()).SerializeToString(deterministic=True)
pathlib.Path(__file__).with_name("services.bin").write_bytes(encoded)
