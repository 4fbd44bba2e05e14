"""What lies in serve/ can be used: settings the gateway takes, options vLLM knows, a compose file for both."""

from pathlib import Path

import pytest
import yaml

from llmrec.config import load_config
from llmrec.engines.vllm import NEEDED, installed, options
from llmrec.errors import ConfigError, InputError
from llmrec.gateway.server import serve, taken
from llmrec.gateway.settings import ServeRecipe, with_vllm


@pytest.fixture
def compose(root: Path) -> dict:
    return yaml.safe_load((root / "serve" / "compose.yaml").read_text())


def test_the_settings_are_taken_and_the_command_line_comes_first(root: Path) -> None:
    recipe = load_config(
        ServeRecipe, root / "serve/gateway.yaml", ["port=0", "vllm.max-num-seqs=64", "limits.at_work=3"]
    )
    assert (recipe.port, recipe.limits.at_work) == (0, 3)
    both = with_vllm(recipe, root / "serve/vllm.yaml")
    assert both.vllm["max-num-seqs"] == 64
    assert both.vllm["block-size"] == 32
    assert both.vllm["environment"]["VLLM_CPU_NUM_OF_RESERVED_CPU"] == "0"
    assert with_vllm(recipe, None) == recipe


@pytest.mark.parametrize(
    "setting", ["port=70000", "patience=0", "candidates=0", "prot=1", "engine=gpu", "vllm.environment.A=1"]
)
def test_a_setting_out_of_range_is_told_before_anything_starts(setting: str) -> None:
    with pytest.raises(ConfigError):
        load_config(ServeRecipe, None, [setting])


def test_options_are_written_as_vllms_command_line_takes_them() -> None:
    told = options(
        {"enforce-eager": True, "dtype": "auto", "a_b": None, "no": False, "limit-mm-per-prompt": {"image": 8}}
    )
    assert told == ["--enforce-eager", "--dtype", "auto", "--limit-mm-per-prompt", '{"image": 8}']


def test_a_port_that_is_taken_is_told_before_anything_is_loaded() -> None:
    with taken("127.0.0.1", 0) as port:
        port.listen()
        recipe = ServeRecipe(port=port.getsockname()[1])
        with pytest.raises(InputError, match="cannot be listened on"):
            serve(Path("no model"), Path("no index"), recipe)


@pytest.mark.slow
@pytest.mark.skipif(not installed(), reason="vLLM is not installed")
def test_vllm_knows_every_option(root: Path, compose: dict) -> None:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = make_arg_parser(FlexibleArgumentParser())
    given = yaml.safe_load((root / "serve/vllm.yaml").read_text())
    given.pop("environment")
    parsed = parser.parse_args(["--model", "x", *options({**given, **NEEDED})])
    assert (parsed.block_size, parsed.max_logprobs, parsed.served_model_name) == (32, 200, ["model"])
    parser.parse_args(compose["services"]["vllm"]["command"])


def test_the_compose_file_asks_for_what_the_gateway_needs(compose: dict) -> None:
    services = compose["services"]
    said = services["vllm"]["command"]
    assert f"--served-model-name={NEEDED['served-model-name']}" in said
    assert f"--max-logprobs={NEEDED['max-logprobs']}" in said
    assert "--enable-scale-out" in said
    assert "ports" not in services["vllm"]  # nobody but the gateway may reach it
    for service in services.values():
        assert {"test", "interval", "timeout", "retries"} <= service["healthcheck"].keys()
    command = services["gateway"]["command"]
    place = command.index("--index") + 2
    command = [one.replace("${POSTGRES_PASSWORD:?choose one}", "x") for one in command]
    recipe = load_config(ServeRecipe, None, command[place:])
    assert recipe.host == "0.0.0.0"
    assert recipe.keys is not None
    assert str(recipe.engine_url) == "http://vllm:8000"
    assert "postgresql" in str(recipe.events)
