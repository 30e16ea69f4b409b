// The artifact in OpenVINO. Apache License 2.0, see licences/.
#include "model.hpp"

#include <cstring>
#include <openvino/openvino.hpp>
#include <stdexcept>

#include "facts.hpp"

struct Model::Runtime {
    ov::Core core;
    ov::InferRequest request;
};

Model::Model(const std::string& path) : runtime_(std::make_unique<Runtime>()) {
    // Without INFERENCE_PRECISION_HINT, which OPTIONS holds, CPUs with AMX compute the float parts in bfloat16.
    auto model = runtime_->core.compile_model(path, DEVICE, ov::AnyMap(OPTIONS.begin(), OPTIONS.end()));
    runtime_->request = model.create_infer_request();
    const ov::Shape shape = model.output().get_shape();
    takes_bytes = model.output().get_element_type() == ov::element::u8;
    takes_seed = model.inputs().size() > 1 && model.input(1).get_element_type() == ov::element::i64;
    takes_noise = model.inputs().size() > 1 && !takes_seed;
    if (shape.size() != 4) throw std::runtime_error(path + ": gives no picture");
    height = static_cast<int>(shape[takes_bytes ? 1 : 2]);
    width = static_cast<int>(shape[takes_bytes ? 2 : 3]);
    picture_bytes = runtime_->request.get_input_tensor(0).get_byte_size();
    if (takes_noise || takes_seed) noise_bytes = runtime_->request.get_input_tensor(1).get_byte_size();
    restored_bytes = runtime_->request.get_output_tensor().get_byte_size();
}

Model::~Model() = default;

void Model::run(const void* picture, const void* noise, void* restored) {
    ov::Tensor given = runtime_->request.get_tensor(takes_bytes ? "image" : "lq");
    std::memcpy(given.data(), picture, given.get_byte_size());
    if (takes_noise || takes_seed) {
        ov::Tensor tensor = runtime_->request.get_tensor(takes_seed ? "seed" : "noise");
        std::memcpy(tensor.data(), noise, tensor.get_byte_size());
    }
    runtime_->request.infer();
    const ov::Tensor output = runtime_->request.get_output_tensor();
    std::memcpy(restored, output.data(), output.get_byte_size());
}
