"""Vulkan: the GPU of an Android phone, or of a machine on which its runtime was built.

It has kernels for GroupNorm and nearest neighbours, and its int8 convolutions (``et_vk.q8ta_conv2d``, transposed ones
too) take what XNNPACK's take: int8 activations with a zero point, symmetric weights by channel, an output in int8.
"""

from typing import Any

from compress.artifacts.backends.base import Backend


class Vulkan(Backend):
    title = "Vulkan"
    delegate = "VulkanBackend"
    own_float16 = True

    @property
    def not_run(self) -> str:
        return (
            "ExecuTorch's Python wheel has Vulkan's compiler and not its runtime: load the file in an Android app with "
            "org.pytorch:executorch-android-vulkan, or measure it on the target x86-executorch-vulkan"
        )

    def partitioner(self, *, float16: bool) -> Any:
        from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner

        return VulkanPartitioner({"force_fp16": True} if float16 else {})
