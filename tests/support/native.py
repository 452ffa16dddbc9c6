"""ClickHouse's native protocol in front of a stand-in's engine, as far as one shard needs it of another.

It says that it speaks an old revision (54440), whose packets are simple: what comes is pings, questions about tables,
inserts and temporary tables in small blocks (one compressed frame each) and whole queries
(``distributed_group_by_no_merge = 1``).
"""

from __future__ import annotations

import re
import socketserver
import threading
from typing import BinaryIO

from otel_llm_collector.dialect.compression import framed
from tests.support import frames
from tests.support.engine import Engine

REVISION = 54440
_HELLO, _QUERY, _DATA, _PING, _TABLES, _SCALAR = 0, 1, 2, 4, 5, 7
_IS_DATA, _IS_EXCEPTION, _IS_PONG, _IS_END, _IS_TABLES = 1, 2, 4, 5, 9
_COMPLETE, _EMPTY = 2, 2
_INSERT = re.compile(r"INSERT INTO (\S+) \((.*?)\)", re.DOTALL)
_CODE = re.compile(r"Code: (\d+)")
_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"


class NativeServer:
    """Listens on a port of loopback, in threads, as long as the process runs."""

    def __init__(self, engine: Engine, port: int) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                _Conversation(engine, self.rfile, self.wfile).hold()  # type: ignore[arg-type]

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        socketserver.ThreadingTCPServer.daemon_threads = True
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", port), Handler)

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


class _Conversation:
    """One connection."""

    def __init__(self, engine: Engine, reader: BinaryIO, writer: BinaryIO) -> None:
        self._engine = engine
        self._reader = reader
        self._writer = writer

    def hold(self) -> None:
        while first := self._reader.read(1):
            kind = self._number(first)
            if kind == _HELLO:
                self._hello()
            elif kind == _PING:
                self._send(_IS_PONG)
            elif kind == _TABLES:
                self._tables()
            elif kind == _QUERY:
                self._query()
            else:
                raise NotImplementedError(f"A packet of kind {kind}.")

    def _hello(self) -> None:
        self._text()
        for _ in range(3):
            self._number()
        for _ in range(3):
            self._text()
        numbers = frames.varint(26), frames.varint(9), frames.varint(REVISION)
        self._send(_HELLO, frames.text("stand-in"), *numbers, frames.text("UTC"), frames.text("stand-in"), b"\x01")

    def _tables(self) -> None:
        asked = [(self._text(), self._text()) for _ in range(self._number())]
        told = [frames.text(database) + frames.text(table) + b"\x00" for database, table in asked]
        self._send(_IS_TABLES, frames.varint(len(told)), *told)

    def _query(self) -> None:
        self._text()
        if self._reader.read(1) != b"\x00":
            self._about_the_client()
        settings = {}
        while name := self._text():
            self._number()
            settings[name] = self._text()
        stage, compressed, sql = self._number(), self._number(), self._text()
        assert compressed == 1
        tables: dict[str, bytes] = {}
        while (packet := self._packet())[:2] != (_DATA, ""):
            kind, name, block = packet
            if kind == _DATA and len(block) > _EMPTY:  # scalars, the number of this shard, are not needed
                tables[name] = tables.get(name, b"") + block
        try:
            if insert := _INSERT.match(sql):
                self._insert(insert[1], insert[2], settings)
            else:
                assert stage == _COMPLETE, f"{sql} is asked for at stage {stage}"
                answer = self._engine.ask(sql, "Native", "default", {}, tables=tables)
                if answer:
                    self._data(answer)
            self._send(_IS_END)
        except RuntimeError as error:
            code = _CODE.search(str(error))
            number = int(code[1]) if code else 1000
            words = frames.text("DB::Exception"), frames.text(str(error)), frames.text("")
            self._send(_IS_EXCEPTION, number.to_bytes(4, "little"), *words, b"\x00")

    def _insert(self, table: str, columns: str, settings: dict[str, str]) -> None:
        described = self._engine.ask(f"SELECT {columns} FROM {table} LIMIT 0", "TSVWithNamesAndTypes", "default", {})
        names, types = (line.split("\t") for line in described.decode().splitlines()[:2])
        heads = [frames.text(name) + frames.text(kind) for name, kind in zip(names, types, strict=True)]
        self._data(frames.varint(len(heads)) + frames.varint(0) + b"".join(heads))
        blocks = []
        while len(block := self._packet()[2]) > _EMPTY:
            blocks.append(block)
        if blocks:
            self._engine.insert(f"{table} ({columns})", "Native", b"".join(blocks), "default", settings)

    def _about_the_client(self) -> None:
        for _ in range(3):
            self._text()  # initial user, query and address
        assert self._reader.read(1) == b"\x06"  # it is an embedded engine that asks
        self._text()  # its quota's key

    def _packet(self) -> tuple[int, str, bytes]:
        """The kind of the next packet, its table and its block, without what stands before the columns."""
        kind = self._number()
        assert kind in (_DATA, _SCALAR)
        table = self._text()
        head = self._reader.read(25)
        frame = head + self._reader.read(int.from_bytes(head[17:21], "little") - 9)
        contents = frames.decompress(frame)
        assert contents.startswith(_BLOCK_INFO)
        return kind, table, contents.removeprefix(_BLOCK_INFO)

    def _data(self, block: bytes) -> None:
        self._send(_IS_DATA, frames.text(""), framed(_BLOCK_INFO + block, "lz4"))

    def _send(self, kind: int, *parts: bytes) -> None:
        self._writer.write(frames.varint(kind) + b"".join(parts))
        self._writer.flush()

    def _number(self, first: bytes = b"") -> int:
        value = shift = 0
        while True:
            byte = (first or self._reader.read(1))[0]
            first = b""
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def _text(self) -> str:
        return self._reader.read(self._number()).decode()
