import pytest
import torch

from netwright._rng import seeded
from netwright.data import Input, Schema
from netwright.design import build_network, design_from_json, design_to_json
from netwright.design.spaces import (
    ImageMacroSpace,
    RowMacroSpace,
    SequenceMacroSpace,
    Space,
    TextMacroSpace,
    count,
    macro_space,
)

from ..samples import CLASS, INPUTS, VALUE, rows_for

KINDS = {
    "image": ImageMacroSpace,
    "sequence": SequenceMacroSpace,
    "table": RowMacroSpace,
    "text": TextMacroSpace,
}


def sample(space, n, generator):
    for _ in range(n):
        yield tuple(
            int(torch.randint(len(d.options), (), generator=generator)) for d in space.decisions
        )


@pytest.mark.parametrize("where", [w for w in INPUTS if w.split()[0] in KINDS])
def test_every_code_builds_and_equal_networks_alone_share_a_name(where, generator):
    schema = Schema(INPUTS[where], CLASS)
    space = macro_space(schema)
    assert isinstance(space, KINDS[where.split()[0]]) and isinstance(space, Space)
    names = {}
    for number, code in enumerate(sample(space, 40, generator)):
        design, chosen = space.design(code), space.canonical(code)
        assert space.canonical(chosen) == chosen
        assert names.setdefault(design.name, chosen) == chosen
        assert design == space.design(chosen) == design_from_json(design_to_json(design))
        if number % 5 == 0:
            network = build_network(design, schema, seed=0).eval()
            assert network(rows_for(schema, 2, generator)).shape == (2, 3)


def test_different_canonical_codes_have_different_parameters(generator):
    for where in ("image 1x8x8", "sequence 2x24", "table mixed", "text"):
        space = macro_space(Schema(INPUTS[where], CLASS))
        found = {}
        for code in sample(space, 60, generator):
            design = space.design(code)
            key = design_to_json(design).replace(design.name, "")
            assert found.setdefault(key, space.canonical(code)) == space.canonical(code)


def small(**others):
    return ImageMacroSpace(
        Schema(INPUTS["image 1x8x8"], CLASS), depths=(2, 4), widths=(4, 8),
        operations=("conv3x3", "avgpool3x3"), **others,
    )  # fmt: skip


def test_image_decisions_are_operation_width_stride_and_skips():
    space = small()
    names = [d.name for d in space.decisions]
    assert names[:4] == ["depth", "layer 0, operation", "layer 0, width", "layer 0, stride"]
    assert [n for n in names if "reads" in n] == [
        "layer 2, reads 0", "layer 3, reads 0", "layer 3, reads 1",
    ]  # fmt: skip
    assert count(space) == 2 * 8**4 * 2**3


def test_a_code_becomes_layers():
    code = (1, 0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 0, 0, 0, 1, 0)
    assert small().design(code).parameters == {
        "layers": [
            {"operation": "conv3x3", "width": 4, "stride": 1, "skips": []},
            {"operation": "conv3x3", "width": 8, "stride": 2, "skips": []},
            {"operation": "avgpool3x3", "width": 4, "stride": 2, "skips": [0]},
            {"operation": "conv3x3", "width": 4, "stride": 1, "skips": [0]},
        ]
    }


def test_sequences_are_read_by_convolutions_that_may_be_dilated_and_dropped():
    space = SequenceMacroSpace(
        Schema(INPUTS["sequence 2x24"], CLASS), depths=(1, 2), widths=(4, 8),
        operations=("dil3by4", "maxpool3"),
    )  # fmt: skip
    assert [d.name for d in space.decisions][:3] == ["p_drop", "depth", "layer 0, operation"]
    assert space.design((2, 1, 0, 1, 1, 1, 0, 0)).parameters == {
        "layers": [
            {"operation": "dil3by4", "width": 8, "stride": 2, "skips": []},
            {"operation": "maxpool3", "width": 4, "stride": 1, "skips": []},
        ],
        "p_drop": 0.5,
    }
    assert "gru" not in " ".join(SequenceMacroSpace(Schema(INPUTS["sequence 2x24"], CLASS))
                                 .decisions[2].options)  # fmt: skip


def test_layers_beyond_the_last_and_strides_of_one_pixel_do_not_matter():
    space = small()
    shallow = (0, *[1] * (len(space.decisions) - 1))
    assert space.canonical(shallow) == (0, 1, 1, 1, 1, 1, 1, *[0] * 9)
    deep = (1, *[1] * (len(space.decisions) - 1))  # 8, 4, 2, 1 pixels: the fourth halves nothing
    strides = [i for i, d in enumerate(space.decisions) if d.name.endswith("stride")]
    assert [space.canonical(deep)[i] for i in strides] == [1, 1, 1, 0]


def test_texts_of_characters_have_wider_windows_and_no_attention_over_thousands():
    texts = [Input("text", (n,), vocabulary=tuple("ACGT"), tokens="characters") for n in (9, 2048)]
    short, long = (macro_space(Schema(text, CLASS)) for text in texts)
    assert short.design((2, 1, 2, 0, 0, 1, 2)).parameters["windows"] == [3, 6, 9, 12]
    assert short.design((0, 0, 2, 0, 0, 0, 0)).parameters == {"longest": 4}
    families = [set(space.decisions[0].options) for space in (short, long)]
    assert families[0] - families[1] == {"text_transformer"}


def test_text_parameters_are_those_of_the_family():
    space = macro_space(Schema(INPUTS["text"], CLASS))
    code = (2, 1, 2, 2, 2, 1, 2)  # text_cnn has no depth and no hidden layer
    assert space.canonical(code) == (2, 1, 2, 0, 0, 1, 2)
    assert space.design(code).parameters == {
        "width": 32, "windows": [1, 2, 3], "p_drop_word": 0.1, "p_drop": 0.5,
    }  # fmt: skip
    assert space.design((0, *code[1:])).parameters == {"longest": 3}
    assert space.design((0, *code[1:])).recipe.learning_rate == 1e-2


def test_values_are_not_counted_by_naive_bayes():
    space = macro_space(Schema(INPUTS["text"], VALUE))
    assert "text_linear" not in space.decisions[0].options


def test_encoding_of_numbers_does_not_matter_without_any():
    space = macro_space(Schema(INPUTS["table categories"], CLASS))
    code = (1, *[0] * (len(space.decisions) - 1))
    assert space.canonical(code)[0] == 0
    mixed = macro_space(Schema(INPUTS["table mixed"], CLASS))
    assert mixed.canonical(code)[0] == 1


def test_skipped_outputs_are_read_and_brought_to_size(generator):
    design = small().design((1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1))
    layers = design.parameters["layers"]
    assert [layer["skips"] for layer in layers] == [[], [], [0], [0, 1]]
    schema = Schema(INPUTS["image 1x8x8"], CLASS)
    stack = build_network(design, schema, seed=0).eval().stack
    x = torch.randn(2, 1, 8, 8, generator=generator)
    outputs = []
    for number, layer in enumerate(stack.layers):
        read = [outputs[-1] if outputs else x]
        for place in stack.skips[number]:
            skipped = outputs[place]
            while skipped.shape[2] > read[0].shape[2]:
                skipped = torch.nn.functional.avg_pool2d(skipped, 2)
            read.append(skipped)
        outputs.append(layer(torch.cat(read, dim=1)))
    torch.testing.assert_close(stack(x), outputs[-1])


def test_codes_of_another_length_are_refused():
    for where in ("image 1x8x8", "sequence 2x24", "table mixed", "text"):
        space = macro_space(Schema(INPUTS[where], CLASS))
        with pytest.raises(ValueError, match="numbers; got 1"):
            space.design((0,))


def test_networks_learn_through_skips(generator):
    schema = Schema(INPUTS["image 1x8x8"], CLASS)
    space = macro_space(schema)
    for code in sample(space, 5, generator):
        network = build_network(space.design(code), schema, seed=0).train()
        with seeded(0):
            network(torch.rand(8, 1, 8, 8, generator=generator)).square().sum().backward()
        assert all(p.grad is not None for p in network.parameters())
