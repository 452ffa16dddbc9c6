"""What of OpenAI's API the scripted provider answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from otel_llm.testing import openai_jobs_wire as jobs
from otel_llm.testing import openai_media_wire as media
from otel_llm.testing import openai_responses as responses
from otel_llm.testing import openai_wire as text
from otel_llm.testing.script import Reply, Request
from otel_llm.testing.wire import Answer, Route


def _post(path: str, operation: str, answer: Callable[[Request, Reply], Answer]) -> Route:
    """A path, with ``{name}`` for what is in its place; Azure has the model before it."""
    named = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/:]+)", path)
    return "POST", re.compile(rf"(/deployments/(?P<model>[^/]+))?/{named}$"), operation, answer


def _get(path: str, operation: str, answer: Callable[[Request, Reply], Answer]) -> Route:
    return "GET", *_post(path, operation, answer)[1:]


ROUTES: Sequence[Route] = (
    _post("chat/completions", "chat.completions", text.chat),
    _get("chat/completions/{id}", "chat.completions.retrieve", text.chat),
    _post("embeddings", "embeddings", text.embeddings),
    _post("responses", "responses", responses.responses),
    _post("responses/compact", "responses.compact", responses.compact),
    _post("responses/input_tokens", "responses.input_tokens", responses.count),
    _get("responses/{id}", "responses.retrieve", responses.responses),
    _post("responses/{id}/cancel", "responses.cancel", responses.responses),
    _post("conversations", "conversations", jobs.conversation),
    _post("conversations/{id}/items", "conversations.items", jobs.items),
    _post("decisions", "decisions", jobs.decision),
    _post("images/generations", "images.generate", media.images),
    _post("images/edits", "images.edit", media.images),
    _post("images/variations", "images.variation", media.images),
    _post("audio/speech", "audio.speech", media.speech),
    _post("audio/transcriptions", "audio.transcriptions", media.transcript),
    _post("audio/translations", "audio.translations", media.transcript),
    _post("audio/voices", "audio.voices", jobs.anything),
    _post("moderations", "moderations", media.moderation),
    _post("videos", "videos", media.video),
    _post("videos/edits", "videos.edit", media.video),
    _post("videos/extensions", "videos.extend", media.video),
    _post("videos/characters", "videos.character", jobs.anything),
    _post("videos/{source}/remix", "videos.remix", media.video),
    _get("videos/{id}", "videos.retrieve", media.video),
    _get("videos/{id}/content", "videos.content", media.film),
    _post("batches", "batches", jobs.batch),
    _get("batches/{id}", "batches.retrieve", jobs.batch),
    _post("batches/{id}/cancel", "batches.cancel", jobs.batch),
    _post("vector_stores/{store}/search", "vector_stores.search", jobs.search),
    _post("vector_stores/{store}/files", "vector_stores.files", jobs.indexed),
    _post("vector_stores/{store}/file_batches", "vector_stores.file_batches", jobs.indexed),
    _post("fine_tuning/jobs", "fine_tuning.jobs", jobs.job),
    _post("fine_tuning/jobs/{id}/cancel", "fine_tuning.jobs.cancel", jobs.job),
    _post("fine_tuning/jobs/{id}/pause", "fine_tuning.jobs.pause", jobs.job),
    _post("fine_tuning/jobs/{id}/resume", "fine_tuning.jobs.resume", jobs.job),
    _post("fine_tuning/alpha/graders/run", "graders.run", jobs.grade),
    _post("evals/{eval}/runs", "evals", jobs.evaluation),
    _get("evals/{eval}/runs/{id}", "evals.retrieve", jobs.evaluation),
    _post("evals/{eval}/runs/{id}", "evals.cancel", jobs.evaluation),
    _post("evals/{eval}/runs/{id}/cancel", "evals.cancel", jobs.evaluation),
    _post("content_provenance_checks", "content_provenance_checks", jobs.anything),
    _post("assistants", "assistants", jobs.agent),
    _post("threads/runs", "runs", jobs.run),
    _post("threads/{thread}/runs", "runs", jobs.run),
    _get("threads/{thread}/runs/{id}", "runs.retrieve", jobs.run),
    _post("threads/{thread}/runs/{id}/cancel", "runs.cancel", jobs.run),
    _post("threads/{thread}/runs/{id}/submit_tool_outputs", "runs.submit", jobs.run),
    _post("agents", "agents", jobs.agent),
    _post("agents/sessions", "agents.sessions", jobs.session),
    _get("agents/sessions/{id}", "agents.sessions.retrieve", jobs.session),
    _post("agents/sessions/{id}/events", "agents.events.create", jobs.accepted),
    _get("agents/sessions/{id}/events", "agents.events", jobs.session),
    _post("agents/automations/{id}/invocations", "agents.invocations", jobs.invocation),
    # last: its path is the end of chat's
    _post("completions", "completions", text.completions),
)
