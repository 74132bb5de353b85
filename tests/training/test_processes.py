import pytest
import torch
from torch import nn

from v2l.errors import ConfigError
from v2l.training.processes import Processes, SharedBatchNorm, share_batch_norms


def test_shares_follow_each_other_and_make_up_the_batch() -> None:
    places = list(range(12))
    shares = [places[Processes(rank, 3).share(12)] for rank in range(3)]
    assert [place for share in shares for place in share] == places
    assert {len(share) for share in shares} == {4}


def test_batch_without_equal_shares_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^train.batch_size: expected a multiple of 3 processes, found 8$"):
        Processes(0, 3).share(8)


def test_one_process_needs_no_group() -> None:
    alone, tensor = Processes.current(), torch.ones(3)
    assert (alone.rank, alone.count, alone.first) == (0, 1, True)
    assert alone.mean(tensor) is tensor
    assert alone.gather(tensor) is tensor
    assert [alone.any(flag, torch.device("cpu")) for flag in (False, True)] == [False, True]
    alone.average_gradients([nn.Parameter(tensor)])
    alone.copy_from_first([tensor])
    alone.wait()


def test_shared_batch_norm_is_batch_norm() -> None:
    """Of several processes: test_distributed."""
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(5).double()
    nn.init.normal_(plain.weight)
    nn.init.normal_(plain.bias)
    shared = SharedBatchNorm(plain, Processes()).double()
    shared.load_state_dict(plain.state_dict())
    inputs = [torch.randn(4, 5, 3, 2, dtype=torch.float64).requires_grad_() for _ in range(2)]
    inputs[1].data.copy_(inputs[0].data)
    pull = torch.randn(4, 5, 3, 2, dtype=torch.float64)
    outputs = [norm(features) for norm, features in zip((plain, shared), inputs, strict=True)]
    for output in outputs:
        output.backward(pull)
    # float64: sums of 24 terms
    close = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(outputs[1], outputs[0], **close)
    torch.testing.assert_close(inputs[1].grad, inputs[0].grad, **close)
    torch.testing.assert_close(shared.weight.grad, plain.weight.grad, **close)
    torch.testing.assert_close(shared.bias.grad, plain.bias.grad, **close)
    for name, buffer in plain.named_buffers():
        torch.testing.assert_close(shared.get_buffer(name), buffer, **close)


def test_every_batch_norm_is_shared_by_several_processes_and_none_by_one() -> None:
    def network() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm2d(4)))

    alone, several = network(), network()
    share_batch_norms(alone, Processes())
    share_batch_norms(several, Processes(0, 2))
    assert [type(module) for module in alone.modules()].count(nn.BatchNorm2d) == 2
    assert [type(module) for module in several.modules()].count(SharedBatchNorm) == 2
    assert several.state_dict().keys() == alone.state_dict().keys()


def test_batch_norms_stay_on_their_device_in_their_precision() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3, device="meta", dtype=torch.float64))
    share_batch_norms(network, Processes(count=2))
    assert {(each.device.type, each.dtype) for each in network.parameters()} == {("meta", torch.float64)}
    assert network[0].running_mean.device.type == "meta"
