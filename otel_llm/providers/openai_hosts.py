"""Who a client of OpenAI's SDK talks to: many hosts speak its protocol."""

from __future__ import annotations

import re
from typing import Any

from otel_llm.provider import Server

#: ``gen_ai.provider.name`` by host, or by the domain that the host is in. The names are the conventions' where they
#: have one, else the provider's own in lower case. A host that is not here is taken for OpenAI's: that is the protocol.
_DOMAINS = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure.ai.openai",
    "openai.azure.us": "azure.ai.openai",
    "openai.azure.cn": "azure.ai.openai",
    "cognitiveservices.azure.com": "azure.ai.openai",
    "cognitiveservices.azure.us": "azure.ai.openai",
    "cognitiveservices.azure.cn": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "inference.ai.azure.com": "azure.ai.inference",
    "models.ai.azure.com": "azure.ai.inference",
    "api.anthropic.com": "anthropic",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "api.deepseek.com": "deepseek",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "api.groq.com": "groq",
    "ml.cloud.ibm.com": "ibm.watsonx.ai",
    "api.mistral.ai": "mistral_ai",
    "codestral.mistral.ai": "mistral_ai",
    "api.moonshot.ai": "moonshot_ai",
    "api.moonshot.cn": "moonshot_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
    "api.ai21.com": "ai21",
    "dashscope.aliyuncs.com": "alibaba",
    "dashscope-intl.aliyuncs.com": "alibaba",
    "dashscope-us.aliyuncs.com": "alibaba",
    "inference.baseten.co": "baseten",
    "ark.cn-beijing.volces.com": "bytedance",
    "api.cerebras.ai": "cerebras",
    "api.cloudflare.com": "cloudflare",
    "gateway.ai.cloudflare.com": "cloudflare",
    "cloud.databricks.com": "databricks",
    "gcp.databricks.com": "databricks",
    "azuredatabricks.net": "databricks",
    "api.deepinfra.com": "deepinfra",
    "api.fireworks.ai": "fireworks",
    "models.github.ai": "github",
    "api-inference.huggingface.co": "huggingface",
    "router.huggingface.co": "huggingface",
    "endpoints.huggingface.cloud": "huggingface",
    "api.hyperbolic.xyz": "hyperbolic",
    "api.inceptionlabs.ai": "inception",
    "api.minimax.io": "minimax",
    "api.minimaxi.com": "minimax",
    "api.studio.nebius.ai": "nebius",
    "api.studio.nebius.com": "nebius",
    "api.tokenfactory.nebius.com": "nebius",
    "api.novita.ai": "novita",
    "integrate.api.nvidia.com": "nvidia",
    "ollama.com": "ollama",
    "openrouter.ai": "openrouter",
    "api.sambanova.ai": "sambanova",
    "api.scaleway.ai": "scaleway",
    "api.siliconflow.cn": "siliconflow",
    "api.siliconflow.com": "siliconflow",
    "snowflakecomputing.com": "snowflake",
    "api.together.ai": "together",
    "api.together.xyz": "together",
    "api.upstage.ai": "upstage",
    "ai-gateway.vercel.sh": "vercel",
    "api.z.ai": "zhipu",
    "open.bigmodel.cn": "zhipu",
}

#: Hosts that have a region in their name.
_PATTERNS = (
    (r"([a-z0-9-]+-)?aiplatform(\.[a-z0-9-]+\.rep)?\.googleapis\.com", "gcp.vertex_ai"),
    (
        r"(.+\.)?bedrock-(runtime|mantle)(-fips)?\.[a-z0-9-]+(\.vpce)?\.(amazonaws\.(com(\.cn)?|eu)|api\.aws)",
        "aws.bedrock",
    ),
)

_AZURE = frozenset({"AzureOpenAI", "AsyncAzureOpenAI"})
_BEDROCK = frozenset({"BedrockOpenAI", "AsyncBedrockOpenAI"})

_servers: dict[int, tuple[Any, Server]] = {}


def server(resource: Any) -> Server:
    """Who a client talks to, worked out once for each address object, which is kept so that its id stays its own."""
    client = resource._client
    # to ask for it imports something, each time; the module's own client has it elsewhere
    url = client.base_url if type(client).__name__.endswith("ModuleClient") else client.__dict__.get("_base_url")
    found = _servers.get(id(url))
    if found is None or url is None:
        if len(_servers) >= 256:
            _servers.clear()
        found = _servers[id(url)] = (url, _identify(client, client.base_url))
    return found[1]


def _identify(client: Any, url: Any) -> Server:
    host, port = url.host, url.port or (80 if url.scheme == "http" else 443)
    kinds = {kind.__name__ for kind in type(client).__mro__}
    if kinds & _AZURE:
        return Server("azure.ai.openai", host, port)
    if kinds & _BEDROCK:
        return Server("aws.bedrock", host, port)
    return Server(provider_of(host, url.path), host, port)


def provider_of(host: str, path: str = "") -> str:
    """The provider whose host this is: the host itself, or one below a provider's domain."""
    host = host.lower().rstrip(".")
    below = host
    while below:
        if (found := _DOMAINS.get(below)) is not None:
            # one host serves OpenAI's models and all others, below different paths
            return "azure.ai.openai" if found == "azure.ai.inference" and path.startswith("/openai") else found
        below = below.partition(".")[2]
    return next((provider for pattern, provider in _PATTERNS if re.fullmatch(pattern, host)), "openai")
