"""The body of an upload, taken apart while it arrives, so that no file is ever held in memory."""

from typing import BinaryIO

from python_multipart.multipart import MultipartParser, parse_options_header

from .requests import invalid, missing_parameter

LONGEST_BOUNDARY = 70
LONGEST_FIELD = 10_000
"""Bytes of a form field, at most."""


class Form:
    """A multipart form whose part `file` is written to a file, and whose other parts are its fields.

    `filename` is the name that the client has for that file, None while there is no such part.
    """

    def __init__(self, content_type: str, file: BinaryIO) -> None:
        """Raises Refused when that is no type of a multipart form."""
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 0 < len(boundary) <= LONGEST_BOUNDARY:
            raise invalid("the body must be multipart/form-data with a part named file")
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self.size = 0
        self._file = file
        self._complete = False
        self._header = b""
        self._value = b""
        self._disposition = b""
        self._name = ""
        self._field: bytearray | None = None
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._add_to_header,
                "on_header_value": self._add_to_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the body. Raises Refused for what is no multipart form, and OSError."""
        try:
            self._parser.write(data)
        except ValueError as error:  # MultipartParseError is one
            raise invalid(f"the body is no multipart form: {error}") from None

    def check_complete(self) -> None:
        """Raises Refused when the body ended too early, or without a file."""
        if not self._complete:
            raise invalid("the body ended before the end of the form")
        if self.filename is None:
            raise missing_parameter("file")

    def _begin_part(self) -> None:
        self._disposition = self._header = self._value = b""

    def _add_to_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._field = None if self._name == "file" else bytearray()
        if self._field is not None:
            return
        if self.filename is not None:
            raise invalid("there can be only one part named file")
        self.filename = options.get(b"filename", b"").decode("utf-8", "replace")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._file.write(memoryview(data)[start:end])
            self.size += end - start
            return
        self._field += data[start:end]
        if len(self._field) > LONGEST_FIELD:
            raise invalid(f"a form field is longer than {LONGEST_FIELD:,} bytes")

    def _end_part(self) -> None:
        if self._field is not None:
            self.fields[self._name] = self._field.decode("utf-8", "replace")

    def _end(self) -> None:
        self._complete = True
