import torch
import torch.nn.functional as F

from v2l.tokenizer.discriminator import PatchDiscriminator

# Key names and shapes of the release's discriminator: 64 filters, 2 layers.
RELEASE = {
    "main.0.weight": (64, 3, 4, 4),
    "main.0.bias": (64,),
    "main.2.weight": (128, 64, 4, 4),
    "main.3.weight": (128,),
    "main.3.bias": (128,),
    "main.3.running_mean": (128,),
    "main.3.running_var": (128,),
    "main.3.num_batches_tracked": (),
    "main.5.weight": (256, 128, 4, 4),
    "main.6.weight": (256,),
    "main.6.bias": (256,),
    "main.6.running_mean": (256,),
    "main.6.running_var": (256,),
    "main.6.num_batches_tracked": (),
    "main.8.weight": (1, 256, 4, 4),
    "main.8.bias": (1,),
}


def test_names_and_shapes_are_the_releases() -> None:
    state = PatchDiscriminator(channels=64, layers=2).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == RELEASE


def test_equals_the_layers_written_out() -> None:
    network = PatchDiscriminator(channels=8, layers=2)
    pictures = torch.rand(3, 3, 24, 32)
    state = network.state_dict()
    x = F.leaky_relu(F.conv2d(2 * pictures - 1, state["main.0.weight"], state["main.0.bias"], stride=2, padding=1), 0.2)
    for conv, norm, stride in ((2, 3, 2), (5, 6, 1)):
        x = F.conv2d(x, state[f"main.{conv}.weight"], stride=stride, padding=1)
        mean, variance = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), keepdim=True, unbiased=False)
        scale, shift = (state[f"main.{norm}.{name}"][None, :, None, None] for name in ("weight", "bias"))
        x = F.leaky_relu((x - mean) / torch.sqrt(variance + 1e-5) * scale + shift, 0.2)
    x = F.conv2d(x, state["main.8.weight"], state["main.8.bias"], padding=1)
    assert x.shape == (3, 1, 4, 6)
    # float32: BatchNorm's mean and variance are summed in another order
    torch.testing.assert_close(network(pictures), x, atol=1e-5, rtol=1e-4)


def test_width_stops_growing_at_eight_times_the_first() -> None:
    widths = [
        tensor.shape[0]
        for tensor in PatchDiscriminator(channels=4, layers=5).state_dict().values()
        if tensor.dim() == 4
    ]
    assert widths == [4, 8, 16, 32, 32, 32, 1]
