"""Reads a recording with the package of MCAP's authors, checks what viewers rely on, and prints what is in it as JSON.

    check_mcap.py FILE [--truncated]

A file whose recorder was killed has no summary, and is read from its beginning to its last whole record.
"""
import base64
import json
import sys

from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.records import Channel, Message, Metadata, Schema
from mcap.stream_reader import StreamReader


def check_field(field, path):
    """The rules of Lichtblick's reader of JSON Schemas for one field."""
    if "oneOf" in field:
        assert all(isinstance(one["const"], (int, float)) for one in field["oneOf"]), path
    elif field["type"] == "object":
        check_object(field, path)
    elif field["type"] == "array":
        items = field["items"]
        assert items["type"] in ("boolean", "string", "number", "integer", "object"), path
        if items["type"] == "object":
            check_object(items, path)
    else:
        assert field["type"] in ("boolean", "string", "number", "integer"), path
        assert field.get("contentEncoding", "base64") == "base64", path


def check_object(schema, path="/"):
    assert schema["type"] == "object", path
    for name, field in schema.get("properties", {}).items():
        check_field(field, f"{path}{name}/")


def payload(channel, data):
    """The message that a record was made of, in Base64."""
    wrap, record = channel.metadata["wrap"], data
    if wrap == "text":
        record = json.loads(data)["text"].encode()
    elif wrap == "base64":
        record = base64.b64decode(json.loads(data)["data"], validate=True)
    elif wrap == "leads-video":
        picture = json.loads(data)
        assert picture["format"] == "jpeg" and set(picture["timestamp"]) == {"sec", "nsec"}
        record = f"{picture['frame_id']}:{picture['data']}".encode()
    else:
        assert wrap == "none", wrap
    return base64.b64encode(record).decode()


def main():
    path, is_truncated = sys.argv[1], "--truncated" in sys.argv
    schemas, channels, messages, notes = {}, {}, [], []
    with open(path, "rb") as file:
        records = StreamReader(file, validate_crcs=True).records
        try:
            for record in records:
                if isinstance(record, Schema):
                    schemas[record.id] = record
                elif isinstance(record, Channel):
                    channels[record.id] = record
                elif isinstance(record, Message):
                    messages.append(record)
                elif isinstance(record, Metadata):
                    notes.append({"name": record.name, **record.metadata})
        except (McapError, EOFError) as error:
            assert is_truncated, error
    for schema in schemas.values():
        assert schema.id != 0 and schema.encoding == "jsonschema", schema
        check_object(json.loads(schema.data))
    for channel in channels.values():
        # PlotJuggler passes over a channel without a schema, or of another encoding.
        assert channel.schema_id in schemas and channel.message_encoding == "json", channel
    kinds = {(channel.topic, tuple(sorted(channel.metadata.items()))) for channel in channels.values()}
    assert len(kinds) == len(channels)

    times = [message.log_time for message in messages]
    assert times == sorted(times), "a time has gone back"
    recorded = [message for message in messages if channels[message.channel_id].metadata.get("derived") != "true"]
    for message in messages:
        # Every record is a JSON object that has the fields of its type, where both have one.
        record, schema = json.loads(message.data), json.loads(schemas[channels[message.channel_id].schema_id].data)
        assert isinstance(record, dict)
        assert set(schema.get("required", [])) <= set(record), channels[message.channel_id].topic

    if not is_truncated:
        with open(path, "rb") as file:
            reader = make_reader(file, validate_crcs=True)
            summary = reader.get_summary()
            header = reader.get_header()
            assert header.profile == "" and header.library.startswith("leads-comm "), header
            statistics = summary.statistics
            assert statistics.message_count == len(messages)
            assert statistics.channel_count == len(channels) == len(summary.channels)
            assert statistics.schema_count == len(schemas) == len(summary.schemas)
            assert statistics.metadata_count == len(notes)
            if times:
                assert (statistics.message_start_time, statistics.message_end_time) == (times[0], times[-1])
            # By the index, and in the order of their times.
            assert sum(1 for _ in reader.iter_messages()) == len(messages)
    json.dump({
        "channels": [
            {"topic": channel.topic, "schema": schemas[channel.schema_id].name, **channel.metadata}
            for channel in channels.values()
        ],
        "messages": [
            {
                "topic": channels[message.channel_id].topic,
                "sequence": message.sequence,
                "time": message.log_time,
                "published": message.publish_time,
                "payload": payload(channels[message.channel_id], message.data),
            }
            for message in recorded
        ],
        "derived": [json.loads(message.data) for message in messages if message not in recorded][:10],
        "notes": notes,
    }, sys.stdout)


main()
