"""A vision tower and a language model become a stock LLaVA that keeps pictures where they stand."""

import json
import logging

import pytest
import torch
import transformers
from PIL import Image
from tiny_models import WIDTH, tiny_model, tiny_tokenizer
from transformers import AutoModelForImageTextToText, AutoProcessor
from typer.testing import CliRunner

from llmrec.cli import app
from llmrec.errors import InputError
from llmrec.modeling.assemble import assemble

SHAPE = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A CLIP model, a SigLIP tower, a language model with a chat template and one without."""
    root = tmp_path_factory.mktemp("parts")
    torch.manual_seed(0)
    clip = transformers.CLIPConfig(
        vision_config=SHAPE | {"image_size": 28, "patch_size": 14}, text_config=SHAPE | {"vocab_size": 50}
    )
    transformers.CLIPModel(clip).save_pretrained(root / "clip")
    siglip = transformers.SiglipVisionConfig(**SHAPE, image_size=30, patch_size=10)
    transformers.SiglipVisionModel(siglip).save_pretrained(root / "siglip")
    fine = transformers.CLIPVisionConfig(**SHAPE, image_size=36, patch_size=4)
    transformers.CLIPVisionModel(fine).save_pretrained(root / "fine")
    for name, template in (("chatty", tiny_tokenizer().chat_template), ("bare", None)):
        tokenizer = _without_pictures(template)
        config = transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            tie_word_embeddings=name == "chatty",
            pad_token_id=None,
        )
        transformers.LlamaForCausalLM(config).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return root


def _without_pictures(template):
    """A tokenizer of a language model that knows of no pictures, and without a template of no turns either."""
    content = json.loads(tiny_tokenizer().backend_tokenizer.to_str())
    plain = {"</s>"} if template is None else {"</s>", "<|im_start|>", "<|im_end|>"}
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] in plain]
    kept = [name for name in content["model"]["vocab"] if name in plain or not name.startswith("<") or len(name) == 1]
    content["model"]["vocab"] = {name: number for number, name in enumerate(kept)}
    for token in content["added_tokens"]:
        token["id"] = content["model"]["vocab"][token["content"]]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=transformers.tokenization_utils_tokenizers.TokenizerFast.from_str(json.dumps(content)),
        eos_token="</s>" if template is None else "<|im_end|>",
    )
    tokenizer.chat_template = template
    return tokenizer


def opened(folder):
    model, report = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    return model, AutoProcessor.from_pretrained(folder)


def asked(processor, parts, pictures):
    messages = [{"role": "user", "content": parts}]
    text = processor.apply_chat_template(messages, add_generation_prompt=True)
    return text, processor(text=[text], images=pictures or None, return_tensors="pt")


@pytest.mark.parametrize(("tower", "tokens"), [("clip", 4), ("siglip", 9)])
@pytest.mark.parametrize("language", ["chatty", "bare"])
def test_parts_become_a_model_that_reads_pictures(tower, tokens, language, parts, tmp_path):
    manifest = assemble(parts / tower, tmp_path / "model", language=str(parts / language), dtype="float32")
    assert manifest["visual_tokens"] == tokens
    model, processor = opened(tmp_path / "model")
    red, blue = Image.new("RGB", (50, 40), "red"), Image.new("RGB", (30, 60), "blue")
    content = [{"type": "image"}, {"type": "text", "text": "or"}, {"type": "image"}, {"type": "text", "text": "?"}]
    _, one = asked(processor, content, [red, blue])
    _, other = asked(processor, content, [blue, red])
    assert int((one["input_ids"] == model.config.image_token_id).sum()) == 2 * tokens
    with torch.no_grad():
        assert (model(**one).logits[0, -1] - model(**other).logits[0, -1]).abs().max() > 1e-6


@pytest.mark.parametrize("language", ["chatty", "bare"])
def test_pictures_and_words_keep_their_order_within_a_turn(language, parts, tmp_path):
    assemble(parts / "clip", tmp_path / "model", language=str(parts / language))
    processor = AutoProcessor.from_pretrained(tmp_path / "model")
    content = [
        {"type": "text", "text": "I have "},
        {"type": "image"},
        {"type": "text", "text": " and want "},
        {"type": "image"},
    ]
    text, _ = asked(processor, content, [Image.new("RGB", (20, 20))] * 2)
    assert text == "<|im_start|>user\nI have <image> and want <image><|im_end|>\n<|im_start|>assistant\n"
    turns = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello"}]
    assert processor.apply_chat_template(turns) == (
        "<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
    )


def test_the_language_models_words_and_answers_are_its_own(parts, tmp_path):
    assemble(parts / "clip", tmp_path / "model", language=str(parts / "chatty"), dtype="float32")
    model, _ = opened(tmp_path / "model")
    own = transformers.AutoModelForCausalLM.from_pretrained(parts / "chatty")
    tokens = torch.tensor([[5, 60, 70, 80]])
    with torch.no_grad():
        mine, theirs = model(tokens).logits, own(tokens).logits
    assert torch.allclose(mine[..., : theirs.shape[-1]], theirs, atol=1e-5)


def test_new_tokens_begin_near_the_mean_and_the_answer_ends_where_a_turn_does(parts, tmp_path):
    assemble(parts / "clip", tmp_path / "model", language=str(parts / "bare"), dtype="float32")
    model, processor = opened(tmp_path / "model")
    tokenizer = processor.tokenizer
    new = tokenizer.convert_tokens_to_ids(["<image>", "<pad>", "<|im_start|>", "<|im_end|>"])
    old = model.get_input_embeddings().weight[: min(new)]
    assert max(new) < len(model.get_input_embeddings().weight) == len(model.lm_head.weight)
    assert torch.allclose(model.get_input_embeddings().weight[new], old.mean(0).expand(4, -1), atol=1e-2)
    assert new[3] in model.generation_config.eos_token_id
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.pad_token == "<pad>"


def test_a_language_model_may_keep_its_first_layers_alone(parts, tmp_path):
    manifest = assemble(parts / "clip", tmp_path / "short", language=str(parts / "chatty"), layers=1, dtype="float32")
    assemble(parts / "clip", tmp_path / "whole", language=str(parts / "chatty"), dtype="float32")
    short, long = (opened(tmp_path / name)[0].model.language_model for name in ("short", "whole"))
    assert manifest["layers"] == len(short.layers) == short.config.num_hidden_layers == 1
    assert len(long.layers) == 2
    assert torch.equal(short.layers[0].mlp.up_proj.weight, long.layers[0].mlp.up_proj.weight)
    with pytest.raises(InputError, match="Give 1 to 2"):
        assemble(parts / "clip", tmp_path / "no", language=str(parts / "chatty"), layers=3)


def test_without_a_tower_it_reads_pictures_and_sees_nothing_learnt(parts, tmp_path):
    manifest = assemble(None, tmp_path / "blind", language=str(parts / "chatty"), dtype="float32")
    assert manifest["tower"] is None
    model, processor = opened(tmp_path / "blind")
    content = [{"type": "image"}, {"type": "text", "text": "What is it?"}]
    _, given = asked(processor, content, [Image.new("RGB", (50, 40), "red")])
    assert int((given["input_ids"] == model.config.image_token_id).sum()) == manifest["visual_tokens"] == 4
    with torch.no_grad():
        assert torch.isfinite(model(**given).logits).all()


def test_visual_tokens_begin_as_long_as_words(parts, tmp_path):
    assemble(parts / "clip", tmp_path / "model", language=str(parts / "chatty"), dtype="float32")
    model, processor = opened(tmp_path / "model")
    noise = processor.image_processor(images=[Image.effect_noise((64, 64), 90).convert("RGB")], return_tensors="pt")
    with torch.no_grad():
        seen = model.get_image_features(**noise).pooler_output[0]
    words = model.get_input_embeddings().weight.detach()
    assert 0.3 < float(seen.pow(2).mean().sqrt() / words.pow(2).mean().sqrt()) < 3


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(parts, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assemble(parts / "clip", tmp_path / name, language=str(parts / "chatty"), seed=seed)
    a, b, c = (opened(tmp_path / name)[0].model.multi_modal_projector.linear_1.weight for name in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_a_tower_that_makes_many_tokens_is_warned_of(parts, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "llmrec"):
        assemble(parts / "fine", tmp_path / "model", language=str(parts / "chatty"))
    assert "81 visual tokens" in caplog.text


def test_what_cannot_be_joined_is_refused_with_what_to_do(parts, tmp_path):
    out, chatty = tmp_path / "model", str(parts / "chatty")
    with pytest.raises(InputError, match="llama model, which has no vision part"):
        assemble(parts / "chatty", out, language=chatty)
    with pytest.raises(InputError, match="no causal language model"):
        assemble(parts / "clip", out, language=str(tiny_model("llava", tmp_path / "llava")))
    with pytest.raises(InputError, match="is not a folder"):
        assemble(tmp_path / "nothing", out, language=chatty)
    with pytest.raises(InputError, match="not a model folder"):
        assemble(tmp_path, out, language=chatty)
    with pytest.raises(InputError, match="vision-layer -4"):
        assemble(parts / "clip", out, language=chatty, vision_layer=-4)
    (parts / "siglip/preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "SiglipImageProcessor", "size": {"height": 60, "width": 60}})
    )
    with pytest.raises(InputError, match="60 pixels, but the tower reads 30"):
        assemble(parts / "siglip", out, language=chatty)
    (parts / "siglip/preprocessor_config.json").unlink()
    assert not out.exists()


def test_the_command_says_what_a_picture_costs_and_replaces_only_its_own(parts, tmp_path):
    call = [
        "assemble",
        "--tower",
        str(parts / "clip"),
        "--language",
        str(parts / "chatty"),
        "--out",
        str(tmp_path / "m"),
    ]
    ended = CliRunner().invoke(app, call)
    assert ended.exit_code == 0, ended.output
    assert "4 visual tokens a picture" in ended.output
    assert isinstance(CliRunner().invoke(app, call).exception, InputError)
    assert CliRunner().invoke(app, [*call, "--overwrite"]).exit_code == 0


@pytest.mark.slow
def test_the_starter_still_talks_when_it_has_got_eyes(parts, tmp_path):
    manifest = assemble(parts / "clip", tmp_path / "model")
    assert manifest["language"] == "starter"
    model, processor = opened(tmp_path / "model")
    _, prompt = asked(processor, [{"type": "text", "text": "What is the capital of France?"}], [])
    answer = model.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert "Paris" in processor.tokenizer.decode(answer)
