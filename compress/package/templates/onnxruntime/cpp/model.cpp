// The artifact in ONNX Runtime, on the CPU. Apache License 2.0, see licences/.
#include "model.hpp"

#include <onnxruntime_cxx_api.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "facts.hpp"

struct Model::Runtime {
    Ort::Env env{ORT_LOGGING_LEVEL_WARNING, "restore"};
    Ort::Session session{nullptr};
    std::vector<int64_t> picture, noise;  // shapes
};

static const std::map<std::string, GraphOptimizationLevel> LEVELS{
    {"disable", ORT_DISABLE_ALL},
    {"basic", ORT_ENABLE_BASIC},
    {"extended", ORT_ENABLE_EXTENDED},
    {"all", ORT_ENABLE_ALL},
};

// Bytes of a tensor whose values take `each`.
static size_t bytes(const std::vector<int64_t>& shape, size_t each) {
    for (const int64_t side : shape) each *= static_cast<size_t>(side);
    return each;
}

Model::Model(const std::string& path) : runtime_(std::make_unique<Runtime>()) {
    Ort::SessionOptions options;
    for (const auto& [name, value] : OPTIONS) {
        if (name == "graph_optimization_level")
            options.SetGraphOptimizationLevel(LEVELS.at(value));
        else
            options.AddConfigEntry(name.c_str(), value.c_str());
    }
    runtime_->session = Ort::Session(runtime_->env, std::filesystem::path(path).c_str(), options);
    const auto input = [this](size_t i) {
        return runtime_->session.GetInputTypeInfo(i).GetTensorTypeAndShapeInfo().GetShape();
    };
    runtime_->picture = input(0);
    if (runtime_->session.GetInputCount() > 1) {
        const Ort::TypeInfo beside = runtime_->session.GetInputTypeInfo(1);
        takes_seed = beside.GetTensorTypeAndShapeInfo().GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
        takes_noise = !takes_seed;
        runtime_->noise = input(1);
    }
    const Ort::TypeInfo output = runtime_->session.GetOutputTypeInfo(0);
    takes_bytes = output.GetTensorTypeAndShapeInfo().GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
    const std::vector<int64_t> shape = output.GetTensorTypeAndShapeInfo().GetShape();
    if (shape.size() != 4) throw std::runtime_error(path + ": gives no picture");
    height = static_cast<int>(shape[takes_bytes ? 1 : 2]);
    width = static_cast<int>(shape[takes_bytes ? 2 : 3]);
    const size_t each = takes_bytes ? 1 : sizeof(float);
    picture_bytes = bytes(runtime_->picture, each);
    if (takes_noise || takes_seed) noise_bytes = bytes(runtime_->noise, takes_seed ? sizeof(int64_t) : sizeof(float));
    restored_bytes = bytes(shape, each);
}

Model::~Model() = default;

void Model::run(const void* picture, const void* noise, void* restored) {
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const auto tensor = [&](const void* data, const std::vector<int64_t>& shape, size_t each,
                            ONNXTensorElementDataType type) {
        return Ort::Value::CreateTensor(memory, const_cast<void*>(data), bytes(shape, each), shape.data(), shape.size(),
                                        type);
    };
    const auto floats = [&](const void* data, const std::vector<int64_t>& shape) {
        return tensor(data, shape, sizeof(float), ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
    };
    std::vector<Ort::Value> inputs;
    inputs.push_back(takes_bytes ? tensor(picture, runtime_->picture, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8)
                                 : floats(picture, runtime_->picture));
    if (takes_noise) inputs.push_back(floats(noise, runtime_->noise));
    if (takes_seed)
        inputs.push_back(tensor(noise, runtime_->noise, sizeof(int64_t), ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64));
    const char* names[] = {takes_bytes ? "image" : "lq", takes_seed ? "seed" : "noise"};
    const char* output[] = {takes_bytes ? "restored" : "hq"};
    const auto made =
        runtime_->session.Run(Ort::RunOptions{nullptr}, names, inputs.data(), inputs.size(), output, 1);
    const auto facts = made[0].GetTensorTypeAndShapeInfo();
    const auto type = takes_bytes ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    if (facts.GetElementType() != type || bytes(facts.GetShape(), takes_bytes ? 1 : sizeof(float)) != restored_bytes)
        throw std::runtime_error("the artifact gives another shape than it says");
    std::memcpy(restored, made[0].GetTensorRawData(), restored_bytes);
}
