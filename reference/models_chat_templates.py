"""Golden renderings of chat templates, made by Transformers.

Usage: python reference/models_chat_templates.py OUTPUT.json
Needs transformers. The output is committed as src/models/goldens/chat-templates.json.
"""

import json
import sys

from transformers.utils.chat_template_utils import render_jinja_template

LLAMA_3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + "
    "message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}"
    "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
SMOLLM_2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a "
    "helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] "
    "+ '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' "
    "}}{% endif %}"
)
# Like Llama 3.1: blocks on their own lines, tools set to none, an optional date.
DATED = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\n" }}
{%- endif %}
{{- "Today Date: " + date_string + "\n\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{% for message in messages %}
    {%- if not (message.role == 'ipython' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"""
# Like Mistral and Gemma: turns alternate, or an exception is raised.
STRICT = (
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% else %}"
    "{{ message['content'] + eos_token }}{% endif %}{% endfor %}"
)
TEMPLATES = {
    "llama-3": (LLAMA_3, "<|begin_of_text|>", "<|eot_id|>", {}),
    "smollm2": (SMOLLM_2, "<|im_start|>", "<|im_end|>", {}),
    "dated": (DATED, "<|begin_of_text|>", "<|eot_id|>", {"date_string": "01 Feb 2025"}),
    "strict": (STRICT, "<s>", "</s>", {}),
}
QUESTION = {"role": "user", "content": "  What is a hacksaw?\n"}
CHATS = [
    [QUESTION],
    [QUESTION, {"role": "assistant", "content": "A saw for metal."}, {"role": "user", "content": "Und „Säge“? 🙂 {{ bos_token }} {% if %}"}],
    [{"role": "system", "content": "Be brief."}, QUESTION],
    [{"role": "user", "content": ""}],
]


def render(template, messages, **variables):
    try:
        rendered = render_jinja_template([messages], chat_template=template, **variables)
        return {"text": (rendered[0] if isinstance(rendered, tuple) else rendered)[0]}
    except Exception as error:
        return {"refused": str(error)}


def main(output):
    cases = []
    for name, (template, bos, eos, variables) in TEMPLATES.items():
        for messages in CHATS:
            for prompt in (True, False):
                result = render(template, messages, add_generation_prompt=prompt, bos_token=bos, eos_token=eos, **variables)
                cases.append({"template": name, "messages": messages, "addGenerationPrompt": prompt, **result})
    templates = {
        name: {"template": template, "bos": bos, "eos": eos, "variables": variables}
        for name, (template, bos, eos, variables) in TEMPLATES.items()
    }
    with open(output, "w", encoding="utf-8") as file:
        json.dump({"templates": templates, "cases": cases}, file, indent=1)
        file.write("\n")


main(sys.argv[1])
