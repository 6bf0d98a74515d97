"""`srzoo fuse`: merge the re-parameterisable blocks of a network for deployment."""

import argparse
from pathlib import Path

from srzoo.command import Arguments
from srzoo.commands.arguments import add_options_file, add_overwrite, add_weights, check_target, describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the network, its weights and the file to write."""
    describe(
        parser,
        "Merge every re-parameterisable block of a network into one convolution, in float64; compare the merged "
        "network with the original on noise and on images with extreme borders; write it, with the name and checksum "
        "of the weights that it comes from.",
        "-opt options/test/rt4ksr/RT4KSR_x2.yml --weights weights/rt4ksr_x2.pth -o rt4ksr_x2_fused.safetensors",
    )
    add_options_file(parser, use="which names the network")
    add_weights(parser, form="in training form")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="file to write (.safetensors)")
    add_overwrite(parser, "OUT")


def run(arguments: Arguments) -> None:
    """Merge a network's re-parameterisable blocks, check the result and write it.

    Raises:
        CheckpointError: the weights do not fit the network.
        ValueError: there is nothing to merge, the merged network differs from the original, or OUT exists.
    """
    from srzoo.components import build_network, parameter_count
    from srzoo.contract import identity_of
    from srzoo.engine.log import log_to, logger
    from srzoo.layers import reparam
    from srzoo.options import load_options
    from srzoo.tensor_files import sha256
    from srzoo.weights import load_weights, refuse_other_network, save_weights

    log_to()
    check_target(arguments.out, arguments.overwrite, (".safetensors",))
    options = load_options(arguments.opt, arguments.set, purpose="network").options
    if options.network_g.args.get("deploy"):
        raise ValueError("network_g.deploy: true builds the merged form, fuse needs the training form: remove the key")
    net = build_network(options)
    before = parameter_count(net)
    weights = load_weights(net, arguments.weights, options.path.param_key_g)
    refuse_other_network(net, arguments.weights, weights.identity)
    # Loading merges the blocks that the file has merged already.
    unmerged = [name for name, block in reparam.blocks(net) if not block.merged]
    if not unmerged:
        raise ValueError(f"{options.network_g.type} with these weights has no re-parameterisable block left to merge")
    net.eval()
    merged = reparam.fused(net)
    difference = reparam.largest_difference(net, merged, identity_of(net).num_in_ch)
    # Written so that NaN fails too.
    if not difference <= reparam.TOLERANCE:
        raise ValueError(
            f"the merged network differs from its source by {difference:.2e}, more than {reparam.TOLERANCE:.0e}; "
            f"nothing was written: check the weights in {arguments.weights}"
        )
    provenance = {
        **weights.provenance,
        "form": "merged",
        "source": arguments.weights.name,
        "source_sha256": sha256(arguments.weights),
        "largest_difference": f"{difference:.3e}",
    }
    save_weights(arguments.out, merged, provenance)
    logger.info(
        f"merged {len(unmerged)} blocks: {before:,} -> {parameter_count(merged):,} parameters; largest difference "
        f"{difference:.1e}; wrote {arguments.out}"
    )
