"""Whose host a client of OpenAI's SDK talks to, and what routers say of an answer."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import openai
import pytest
from openai.types import CompletionUsage

from otel_llm import attributes as a
from otel_llm.providers.openai_hosts import provider_of, server
from otel_llm.providers.openai_shared import reported
from otel_llm.testing import Reply, ScriptedProvider, Usage
from tests.conftest import Spans
from tests.support.openai_sdk import Clients

ASK: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "What is a flame?"}]}
COST = "otel_llm.cost."


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://eu.api.openai.com/v1", "openai"),
        ("https://forge.openai.azure.com/openai/v1", "azure.ai.openai"),
        ("https://FORGE.OpenAI.Azure.com./openai/v1", "azure.ai.openai"),
        ("https://forge.openai.azure.us/openai/v1", "azure.ai.openai"),
        ("https://forge.cognitiveservices.azure.com/openai/deployments/x", "azure.ai.openai"),
        ("https://forge.services.ai.azure.com/openai/v1", "azure.ai.openai"),
        ("https://forge.services.ai.azure.com/models", "azure.ai.inference"),
        ("https://api.anthropic.com/v1", "anthropic"),
        ("https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1", "aws.bedrock"),
        ("https://bedrock-mantle.eu-central-1.api.aws/v1", "aws.bedrock"),
        ("https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com/openai/v1", "aws.bedrock"),
        ("https://api.cohere.ai/compatibility/v1", "cohere"),
        ("https://api.deepseek.com", "deepseek"),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", "gcp.gemini"),
        ("https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l/endpoints/openapi", "gcp.vertex_ai"),
        ("https://aiplatform.googleapis.com/v1/projects/p", "gcp.vertex_ai"),
        ("https://aiplatform.eu.rep.googleapis.com/v1/projects/p", "gcp.vertex_ai"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://us-south.ml.cloud.ibm.com/ml/v1", "ibm.watsonx.ai"),
        ("https://api.mistral.ai/v1", "mistral_ai"),
        ("https://api.moonshot.ai/v1", "moonshot_ai"),
        ("https://api.perplexity.ai", "perplexity"),
        ("https://api.x.ai/v1", "x_ai"),
        ("https://api.cerebras.ai/v1", "cerebras"),
        ("https://api.cloudflare.com/client/v4/accounts/a/ai/v1", "cloudflare"),
        ("https://dbc-1.cloud.databricks.com/serving-endpoints", "databricks"),
        ("https://adb-1.2.azuredatabricks.net/serving-endpoints", "databricks"),
        ("https://api.deepinfra.com/v1/openai", "deepinfra"),
        ("https://api.fireworks.ai/inference/v1", "fireworks"),
        ("https://router.huggingface.co/v1", "huggingface"),
        ("https://api.tokenfactory.nebius.com/v1", "nebius"),
        ("https://integrate.api.nvidia.com/v1", "nvidia"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://api.sambanova.ai/v1", "sambanova"),
        ("https://api.together.xyz/v1", "together"),
        # a host that is nobody's speaks OpenAI's protocol, and that is all that is known
        ("http://localhost:8000/v1", "openai"),
        ("http://10.0.0.7/v1", "openai"),
        ("http://[::1]:11434/v1", "openai"),
        # near misses are nobody's
        ("https://evil-api.groq.com.example/v1", "openai"),
        ("https://notapi.groq.com/v1", "openai"),
        ("https://notopenrouter.ai/v1", "openai"),
        ("https://openrouter.ai.example/v1", "openai"),
        ("https://aiplatform.googleapis.com.example/v1", "openai"),
        ("https://notaiplatform.googleapis.com/v1", "openai"),
        ("https://bedrock-runtime.us-west-2.amazonaws.com.example/openai/v1", "openai"),
        ("https://xbedrock-runtime.us-west-2.amazonaws.com/openai/v1", "openai"),
    ],
)
def test_a_host_is_known_by_its_name(address: str, provider: str) -> None:
    """Exactly, or at a dot."""
    with openai.OpenAI(api_key="x", base_url=address) as client:
        assert server(client.chat).provider == provider


def test_a_name_of_many_dots_is_no_work() -> None:
    """Nor one that is empty."""
    assert provider_of("a." * 2000 + "api.groq.com") == "groq"
    assert provider_of("") == "openai"


@pytest.mark.parametrize("kind", [openai.AzureOpenAI, openai.AsyncAzureOpenAI])
def test_azures_client_is_azures_whatever_the_host(kind: Any) -> None:
    """Behind a gateway, and with a class of one's own."""

    ours = type("Ours", (kind,), {})
    for one in (kind, ours):
        client = one(api_key="x", api_version="2025-01-01", azure_endpoint="https://gateway.example.org:8443")
        assert server(client.chat) == ("azure.ai.openai", "gateway.example.org", 8443)


def test_the_modules_own_client_talks_to_whom_the_module_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """And may be told otherwise at any time."""
    client = openai._ModuleClient(api_key="x")
    monkeypatch.setattr(openai, "base_url", None)
    assert server(client.chat).provider == "openai"
    monkeypatch.setattr(openai, "base_url", "https://api.deepseek.com/v1")
    assert server(client.chat) == ("deepseek", "api.deepseek.com", 443)


def test_azures_deployment_is_the_model(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The path names it; the span does by the parameter."""
    with openai.AzureOpenAI(api_key="x", api_version="2025-01-01", azure_endpoint=provider.url) as client:
        client.chat.completions.create(**ASK)
        client.embeddings.create(model="small", input="flame", encoding_format="float")
    assert "/deployments/gpt-5-mini/chat/completions" in provider.requests[0].path
    chat, embedding = (span.attributes or {} for span in instrumented.all())
    assert (chat["gen_ai.provider.name"], chat["gen_ai.request.model"]) == ("azure.ai.openai", "gpt-5-mini")
    assert embedding["gen_ai.request.model"] == "small"


ROUTED: dict[str, tuple[dict[str, Any], float | None]] = {
    "openrouter": ({"cost": 0.00014, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.00014}}, 0.00014),
    "openrouter, own key": ({"cost": 1e-05, "is_byok": True, "cost_details": {"upstream_inference_cost": 2e-4}}, 21e-5),
    "openrouter, own key, silent": ({"cost": 0.00001, "is_byok": True, "cost_details": None}, 0.00001),
    "openrouter, free": ({"cost": 0}, 0.0),
    "perplexity": ({"cost": {"input_tokens_cost": 0.1, "request_cost": 0.005, "total_cost": 0.0051}}, 0.0051),
    "deepinfra": ({"estimated_cost": 2.5e-06}, 2.5e-06),
    "x.ai": ({"cost_in_usd_ticks": 318319000}, 0.0318319),
    "not a number": ({"cost": "0.1"}, None),
    "negative": ({"cost": -1}, None),
    "a truth": ({"cost": True}, None),
    "empty": ({"cost": {}}, None),
}


@pytest.mark.parametrize("name", ROUTED)
def test_a_cost_that_the_provider_says_is_taken(name: str) -> None:
    """What is a cost; what is none is left out."""
    usage, expected = ROUTED[name]
    tokens = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    found = reported(SimpleNamespace(usage=CompletionUsage.model_validate(tokens | usage)))
    assert found.get(a.COST_TOTAL) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", ["openrouter", "empty"])
def test_a_cost_has_its_source(
    name: str, stream: bool, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
) -> None:
    """The provider's is taken as it is; where there is none, the table's price holds."""
    usage, expected = ROUTED[name]
    used = Usage(input=1000, output=500)
    provider.script([Reply("Hot.", usage=used, extra={"provider": "Parasail", "usage": usage})])

    async def run() -> None:
        clients = Clients(provider, asynchronous)
        more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        answer = await clients.call("chat.completions.create", **ASK, **more)
        if stream:
            assert [chunk async for chunk in clients.items(answer)]
        await clients.close()

    asyncio.run(run())
    found = instrumented.attributes()
    assert found["otel_llm.upstream.provider"] == "Parasail"
    assert found["gen_ai.usage.output_tokens"] == 500
    assert found[COST + "currency"] == "USD"
    assert found[COST + "status"] == "priced"
    if expected is None:
        assert found[COST + "source"] == "local"
        assert found[COST + "total"] == pytest.approx(0.00125)
    else:
        assert found[COST + "source"] == "provider"
        assert found[COST + "total"] == pytest.approx(expected)
        assert COST + "input" not in found
        assert COST + "price_version" not in found
