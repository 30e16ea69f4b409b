// The artifact in ExecuTorch. Apache License 2.0, see licences/.
#include "model.hpp"

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>

#include <cstring>
#include <stdexcept>
#include <vector>

namespace et = executorch;

struct Model::Runtime {
    et::extension::Module module;
    std::vector<et::aten::SizesType> picture, noise;  // shapes
};

static std::vector<et::aten::SizesType> shape_of(const et::runtime::TensorInfo& tensor) {
    return {tensor.sizes().begin(), tensor.sizes().end()};
}

Model::Model(const std::string& path) : runtime_(new Runtime{et::extension::Module(path), {}, {}}) {
    if (runtime_->module.load_forward() != et::runtime::Error::Ok)
        throw std::runtime_error(path + ": not a program that this ExecuTorch can load");
    const auto facts = runtime_->module.method_meta("forward");
    runtime_->picture = shape_of(*facts->input_tensor_meta(0));
    picture_bytes = facts->input_tensor_meta(0)->nbytes();
    if (facts->num_inputs() > 1) {
        const auto beside = *facts->input_tensor_meta(1);
        takes_seed = beside.scalar_type() == et::aten::ScalarType::Long;
        takes_noise = !takes_seed;
        runtime_->noise = shape_of(beside);
        noise_bytes = beside.nbytes();
    }
    const auto output = *facts->output_tensor_meta(0);
    takes_bytes = output.scalar_type() == et::aten::ScalarType::Byte;
    const auto shape = shape_of(output);
    if (shape.size() != 4) throw std::runtime_error(path + ": gives no picture");
    restored_bytes = output.nbytes();
    height = shape[takes_bytes ? 1 : 2];
    width = shape[takes_bytes ? 2 : 3];
}

Model::~Model() = default;

void Model::run(const void* picture, const void* noise, void* restored) {
    using et::aten::ScalarType;
    const auto tensor = [](const void* data, const std::vector<et::aten::SizesType>& shape, ScalarType type) {
        return et::extension::make_tensor_ptr(shape, const_cast<void*>(data), type);
    };
    const auto given = tensor(picture, runtime_->picture, takes_bytes ? ScalarType::Byte : ScalarType::Float);
    std::vector<et::runtime::EValue> inputs{given};
    et::extension::TensorPtr beside;
    const auto type = takes_seed ? ScalarType::Long : ScalarType::Float;
    if (takes_noise || takes_seed) inputs.emplace_back(beside = tensor(noise, runtime_->noise, type));
    const auto made = runtime_->module.forward(inputs);
    if (!made.ok())
        throw std::runtime_error("inference failed: error " + std::to_string(static_cast<int>(made.error())));
    const auto& output = made->at(0).toTensor();
    if (output.nbytes() != restored_bytes) throw std::runtime_error("the artifact gives another shape than it says");
    std::memcpy(restored, output.const_data_ptr(), output.nbytes());
}
