// Runs one tile through an OpenVINO artifact. Usage: run_tile model.xml lq.bin noise.bin hq.bin
//
// lq.bin:    float32 (1, 3, H, W) in [0, 1], RGB, already enlarged to the size of the output
// noise.bin: float32 (1, 16, H/8, W/8), standard normal
// hq.bin:    float32 (1, 3, H, W) in [0, 1]

#include <fstream>
#include <iostream>
#include <openvino/openvino.hpp>

static void read(const std::string& path, ov::Tensor tensor) {
    std::ifstream file(path, std::ios::binary);
    if (!file.read(reinterpret_cast<char*>(tensor.data()), static_cast<std::streamsize>(tensor.get_byte_size())))
        throw std::runtime_error(path + ": shorter than the model's input");
}

int main(int argc, char** argv) try {
    if (argc != 5) throw std::runtime_error("usage: run_tile model.xml lq.bin noise.bin hq.bin");
    ov::Core core;
    // Without it, CPUs with AMX compute the float parts in bfloat16.
    auto model = core.compile_model(argv[1], "CPU", ov::hint::inference_precision(ov::element::f32));
    auto request = model.create_infer_request();
    read(argv[2], request.get_tensor("lq"));
    read(argv[3], request.get_tensor("noise"));
    request.infer();
    ov::Tensor hq = request.get_output_tensor();
    std::ofstream(argv[4], std::ios::binary).write(static_cast<const char*>(hq.data()), static_cast<std::streamsize>(hq.get_byte_size()));
    return 0;
} catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    return 1;
}
