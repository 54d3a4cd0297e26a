"""What both Python clients share: steps, one JSON object a line, so that two daemons can be compared."""

import hashlib
import json


def noise(length):
    """Bytes that repeat late."""
    state = 88172645
    data = bytearray(length)
    for at in range(length):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        data[at] = state >> 24
    return bytes(data)


def plain(value):
    """What JSON can hold; bytes by their hash."""
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": len(value), "sha256": hashlib.sha256(value).hexdigest()}
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if hasattr(value, "as_json"):
        return plain(value.as_json())
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def shape(value):
    """Names and types only, for what no two nodes have the same."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def ordered(value):
    """The same with its lists sorted, for what comes in no order."""
    if isinstance(value, list):
        return sorted((ordered(inner) for inner in value), key=json.dumps)
    if isinstance(value, dict):
        return {name: ordered(value[name]) for name in sorted(value)}
    return value


def failure(error):
    return {"error": type(error).__name__, "message": str(error)}


def told(name, result, look=lambda value: value):
    print(json.dumps({"step": name, "result": look(plain(result))}, ensure_ascii=False), flush=True)
