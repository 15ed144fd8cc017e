"""The official Python clients of OpenAI, Anthropic and Ollama against a running node.

Arguments: address of the API without a path, and which checks: `plain` or `structured`. One line for each check that
passed; the first that fails ends the run.
"""

import json
import sys
import urllib.request

import anthropic
import ollama
import openai
from openapi_spec_validator import validate

BASE, WHICH = sys.argv[1], sys.argv[2]
FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
PARIS = "The capital of France is Paris."
MODEL = "tiny-gemma:q8_0"

oai = openai.OpenAI(base_url=f"{BASE}/v1", api_key="no key is needed", max_retries=0, timeout=60)
ant = anthropic.Anthropic(base_url=BASE, api_key="no key is needed", max_retries=0, timeout=60)
oll = ollama.Client(host=BASE, timeout=60)


def chat():
    answer = oai.chat.completions.create(model=MODEL, messages=FRANCE, temperature=0)
    choice = answer.choices[0]
    assert choice.message.content.strip() == PARIS, choice
    assert choice.finish_reason == "stop" and choice.message.role == "assistant"
    assert answer.id.startswith("chatcmpl-") and answer.system_fingerprint and answer.model == MODEL
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens_details.cached_tokens >= 0
    cut = oai.chat.completions.create(model=MODEL, messages=FRANCE, temperature=0, max_completion_tokens=2)
    assert cut.choices[0].finish_reason == "length" and cut.usage.completion_tokens == 2


def chat_stream():
    options = {"include_usage": True}
    chunks = list(
        oai.chat.completions.create(model=MODEL, messages=FRANCE, temperature=0, stream=True, stream_options=options)
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text.strip() == PARIS, text
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 3
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    with oai.chat.completions.stream(model=MODEL, messages=FRANCE, temperature=0) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content.strip() == PARIS
    with oai.chat.completions.create(model=MODEL, messages=FRANCE, stream=True) as stream:
        next(iter(stream))  # Hanging up in the middle must not hurt what follows.


def several():
    answer = oai.chat.completions.create(model=MODEL, messages=FRANCE, temperature=0, n=2)
    assert [c.index for c in answer.choices] == [0, 1]
    assert all(c.message.content.strip() == PARIS for c in answer.choices)
    events = oai.chat.completions.create(model=MODEL, messages=FRANCE, temperature=0, n=2, stream=True)
    texts = ["", ""]
    for event in events:
        for choice in event.choices:
            texts[choice.index] += choice.delta.content or ""
    assert [t.strip() for t in texts] == [PARIS, PARIS], texts


def completions():
    answer = oai.completions.create(model=MODEL, prompt="The capital of France", temperature=0, max_tokens=4, echo=True)
    assert answer.choices[0].text.startswith("The capital of France"), answer
    assert answer.id.startswith("cmpl-") and answer.usage.completion_tokens <= 4
    two = oai.completions.create(model=MODEL, prompt=["One", "Two"], temperature=0, max_tokens=2)
    assert [c.index for c in two.choices] == [0, 1]
    events = list(oai.completions.create(model=MODEL, prompt="One", temperature=0, max_tokens=3, stream=True))
    assert events[-1].choices[0].finish_reason in ("length", "stop")


def embeddings():
    texts = ["Paris", "The capital of France"]
    # The client asks for base64 unless told otherwise.
    answer = oai.embeddings.create(model=MODEL, input=texts)
    assert [d.index for d in answer.data] == [0, 1] and answer.usage.prompt_tokens > 0
    length = sum(x * x for x in answer.data[0].embedding)
    assert abs(length - 1) < 1e-3, length
    floats = oai.embeddings.create(model=MODEL, input=texts, encoding_format="float")
    assert max(abs(a - b) for a, b in zip(floats.data[1].embedding, answer.data[1].embedding)) < 1e-6
    short = oai.embeddings.create(model=MODEL, input="Paris", dimensions=8)
    assert len(short.data[0].embedding) == 8


def responses():
    answer = oai.responses.create(model=MODEL, input="What is the capital of France?", temperature=0)
    assert answer.output_text.strip() == PARIS and answer.status == "completed", answer
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 3
    with oai.responses.stream(model=MODEL, input=FRANCE, temperature=0) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds
    assert final.output_text.strip() == PARIS


def models():
    assert MODEL in [model.id for model in oai.models.list()]
    assert oai.models.retrieve(MODEL).id == MODEL
    assert oai.models.retrieve(MODEL).status == {"value": "loaded"}
    theirs = list(ant.models.list(limit=1))
    assert [(model.id, model.type) for model in theirs] == [(MODEL, "model")], theirs
    assert ant.models.retrieve(MODEL).display_name == MODEL


def errors():
    def refused(kind, call):
        try:
            call()
        except kind as error:
            return error
        raise AssertionError(f"no {kind.__name__}")

    missing = refused(openai.NotFoundError, lambda: oai.chat.completions.create(model="no-such", messages=FRANCE))
    assert missing.code == "model_not_found" and missing.param == "model", missing
    empty = refused(openai.BadRequestError, lambda: oai.chat.completions.create(model=MODEL, messages=[]))
    assert empty.param == "messages"
    memory = refused(
        openai.BadRequestError, lambda: oai.responses.create(model=MODEL, input="x", previous_response_id="resp_1")
    )
    assert memory.param == "previous_response_id"
    theirs = refused(
        anthropic.NotFoundError, lambda: ant.messages.create(model="no-such", max_tokens=5, messages=FRANCE)
    )
    assert theirs.body["error"]["type"] == "not_found_error", theirs.body
    gone = refused(ollama.ResponseError, lambda: oll.chat(model="no-such", messages=FRANCE))
    assert gone.status_code == 404 and "no-such" in gone.error, gone
    ignored = oai.chat.completions.with_raw_response.create(model=MODEL, messages=FRANCE, user="ann", max_tokens=1)
    assert ignored.headers["x-ainonymous-ignored"] == "user"


def messages():
    answer = ant.messages.create(model=MODEL, max_tokens=64, messages=FRANCE, extra_body={"temperature": 0})
    assert answer.content[0].text.strip() == PARIS and answer.stop_reason == "end_turn", answer
    assert answer.usage.output_tokens > 3
    with ant.messages.stream(model=MODEL, max_tokens=64, messages=FRANCE, extra_body={"temperature": 0}) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text.strip() == PARIS and final.stop_reason == "end_turn" and final.usage.input_tokens > 0
    counted = ant.messages.count_tokens(model=MODEL, messages=FRANCE).input_tokens
    usage = answer.usage
    assert counted == usage.input_tokens + (usage.cache_read_input_tokens or 0), (counted, usage)
    cut = ant.messages.create(model=MODEL, max_tokens=2, messages=FRANCE)
    assert cut.stop_reason == "max_tokens"


def ollamas():
    options = {"temperature": 0}
    answer = oll.chat(model=MODEL, messages=FRANCE, options=options)
    assert answer.message.content.strip() == PARIS and answer.done_reason == "stop", answer
    assert answer.eval_count > 3 and answer.total_duration > 0
    parts = list(oll.chat(model=MODEL, messages=FRANCE, options=options, stream=True))
    assert "".join(p.message.content for p in parts).strip() == PARIS and parts[-1].done
    whole = oll.generate(model=MODEL, prompt="What is the capital of France?", options=options)
    assert whole.response.strip() == PARIS, whole
    raw = oll.generate(model=MODEL, prompt="The capital", raw=True, options={"num_predict": 2, "temperature": 0})
    assert raw.eval_count <= 2
    assert len(oll.embed(model=MODEL, input=["a", "b"]).embeddings) == 2
    assert [m.model for m in oll.list().models] == [MODEL]
    assert [m.model for m in oll.ps().models] == [MODEL]
    assert oll.show(MODEL).details.format == "gguf"
    assert "completion" in oll.show(MODEL).capabilities
    assert len(oll.embeddings(model=MODEL, prompt="a").embedding) == len(oll.embed(model=MODEL, input="a").embeddings[0])
    assert oll.generate(model=MODEL, keep_alive=0).done_reason == "unload"
    assert oll.ps().models == [] and [m.model for m in oll.list().models] == [MODEL]
    assert oll.generate(model=MODEL, keep_alive="5m").done_reason == "load"
    assert [m.model for m in oll.ps().models] == [MODEL]


def document():
    with urllib.request.urlopen(f"{BASE}/openapi.json") as response:
        validate(json.load(response))


def tools():
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "weather", "description": "Weather.", "parameters": parameters}}
    answer = oai.chat.completions.create(
        model=MODEL, messages=FRANCE, tools=[tool], tool_choice="required", temperature=0, max_tokens=200
    )
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "weather" and call.id, answer
    assert answer.choices[0].finish_reason in ("tool_calls", "length")


def forms():
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 8}, "big": {"type": "boolean"}},
        "required": ["city", "big"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": schema}}
    answer = oai.chat.completions.create(model=MODEL, messages=FRANCE, response_format=form, max_tokens=200)
    value = json.loads(answer.choices[0].message.content)
    assert isinstance(value["city"], str) and isinstance(value["big"], bool), value
    picked = oai.chat.completions.create(model=MODEL, messages=FRANCE, extra_body={"guided_choice": ["yes", "no"]})
    assert picked.choices[0].message.content in ("yes", "no"), picked
    whole = oll.chat(model=MODEL, messages=FRANCE, format=schema, options={"num_predict": 200})
    assert set(json.loads(whole.message.content)) == {"city", "big"}


def likelihoods():
    answer = oai.chat.completions.create(
        model=MODEL, messages=FRANCE, temperature=0, logprobs=True, top_logprobs=3, max_tokens=4
    )
    tokens = answer.choices[0].logprobs.content
    assert len(tokens) == answer.usage.completion_tokens, tokens
    for token in tokens:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3
        assert token.token == token.top_logprobs[0].token, "the most likely one is taken at temperature 0"
    old = oai.completions.create(model=MODEL, prompt="The capital", temperature=0, logprobs=2, max_tokens=3)
    assert len(old.choices[0].logprobs.tokens) == old.usage.completion_tokens


def penalties():
    calm = oai.chat.completions.create(model=MODEL, messages=FRANCE, temperature=0)
    forbidden = oai.chat.completions.create(
        model=MODEL, messages=FRANCE, temperature=0, presence_penalty=2, frequency_penalty=2, max_tokens=30
    )
    assert calm.choices[0].message.content.strip() == PARIS and forbidden.choices[0].message.content is not None


CHECKS = {
    "plain": [
        chat, chat_stream, several, completions, embeddings, responses, models, errors, messages, ollamas, document,
    ],
    "structured": [tools, forms, likelihoods, penalties],
}

for check in CHECKS[WHICH]:
    check()
    print(f"ok {check.__name__}", flush=True)
