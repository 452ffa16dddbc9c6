"""Makes ``schemas/jaeger/storage.binpb``, the compiled form of ``storage.proto`` beside it.

    uv run python tools/jaeger_messages.py            writes it
    uv run python tools/jaeger_messages.py --check    exit code 1 where it is stale

Compiled descriptors work with every release of protobuf; code that ``protoc`` generates only with its own and newer.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

from otel_llm_collector import schemas


def compiled() -> bytes:
    """The descriptors of ``storage.proto``, without those of the files that it imports."""
    folder = schemas.folder() / "jaeger"
    well_known = Path(protoc.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as work:
        out = Path(work) / "storage.binpb"
        if protoc.main(["protoc", f"-I{folder}", f"-I{well_known}", f"--descriptor_set_out={out}", "storage.proto"]):
            sys.exit("storage.proto cannot be compiled.")
        return out.read_bytes()


def main() -> None:
    """Writes the file, or says that it is stale."""
    path = schemas.folder() / "jaeger" / "storage.binpb"
    new = compiled()
    if "--check" not in sys.argv:
        path.write_bytes(new)
    elif not path.exists() or path.read_bytes() != new:
        sys.exit(f"{path.name} is stale: uv run python tools/jaeger_messages.py")


if __name__ == "__main__":
    main()
