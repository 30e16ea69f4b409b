# ExecuTorch: -Dexecutorch_DIR=..., of its wheel (1.5 or newer; CMake 3.28 or newer) what this prints:
#   python -c "import executorch; print(executorch.__path__[0] + '/share/cmake')"
find_package(executorch CONFIG REQUIRED)
target_link_libraries(
  restore PRIVATE executorch::runtime executorch::kernels_optimized executorch::kernels_quantized
                  executorch::backend_xnnpack)
