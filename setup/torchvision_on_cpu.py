"""Lets torchvision's Python part be imported beside a CPU build of torch that cannot load its C++ operators.

`make setup` puts this file and a .pth line into the environment's site-packages when `import torchvision` fails. It
imports nothing until torchvision is asked for, and does nothing where torchvision is whole. Resizing and normalising
pictures, which is all that transformers and vLLM use, is Python; the operators `nms` and `qnms` are not, and
torchvision refuses to be imported unless their schemas exist.
"""

import importlib.abc
import importlib.machinery
import sys


class TorchvisionFinder(importlib.abc.MetaPathFinder):
    """Defines the missing schemas just before torchvision is imported, then steps aside."""

    def find_spec(self, fullname, path=None, _target=None):
        """Called for every import; acts on the first one of torchvision."""
        if fullname != "torchvision":
            return None
        sys.meta_path.remove(self)
        import torch
        from torch import library

        for name in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, name):
                library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return importlib.machinery.PathFinder.find_spec(fullname, path)


sys.meta_path.insert(0, TorchvisionFinder())
