"""What of Google's SDK has no span of its own, and why: patterns of ``resource.method`` as a client has them.

``THROUGH`` are helpers that are recorded by the methods they call, ``GENERIC`` endpoints that say little more than that
the call was made, ``NOT_COVERED`` what does no model work, or cannot be seen from here. The first pattern that fits
holds. Everything else has an endpoint of its own.
"""

from __future__ import annotations

#: Helpers, with what they call.
THROUGH: dict[str, str] = {
    "chats.create().send_message": "models.generate_content, for each request that it makes",
    "chats.create().send_message_stream": "models.generate_content_stream, for each request that it makes",
}

#: Methods that begin model work of which nothing but its beginning can be seen.
GENERIC: tuple[str, ...] = (
    "agents.create",
    "file_search_stores.*",
    "triggers.run",
    "tunings.*",
    "voices.create",
)

_KEPT = "reads, lists, changes or deletes what is kept; no model works"
_FILES = "keeps files; a model reads them when it is asked about them"
_PROCESS = "reads or changes what the process itself has"

#: What is deliberately not recorded, with the reason.
NOT_COVERED: dict[str, str] = {
    "*.do_request*": "is the transport below the methods that are recorded",
    "agents.*": _KEPT,
    "auth_tokens.create": "issues a key for somebody else's session",
    "batches.delete": _KEPT,
    "batches.list": _KEPT,
    "caches.*": "reads, lists, prolongs or deletes a cache; what it holds was counted when it was made",
    "chats.create*": _PROCESS,
    "credentials.*": "keeps credentials for agents; no model works",
    "environments.*": "keeps the files and the machines that agents work with",
    "file_search_stores.create": _KEPT,
    "file_search_stores.delete": _KEPT,
    "file_search_stores.documents.*": _KEPT,
    "file_search_stores.download_media": _FILES,
    "file_search_stores.get": _KEPT,
    "file_search_stores.list": _KEPT,
    "files.*": _FILES,
    "interactions.delete": _KEPT,
    "live.music.connect": "streams music both ways, without a request or an answer that could be told from others",
    "models.delete": _KEPT,
    "models.get": _KEPT,
    "models.list": _KEPT,
    "models.update": _KEPT,
    "triggers.*": "keeps a timetable; what runs by it runs in Google's own time, as interactions",
    "tunings.list": _KEPT,
    "voices.*": _KEPT,
    "webhooks.*": "says where news go; no model works",
}
